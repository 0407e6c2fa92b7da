/**
 * Signing in.
 */

import { get, post } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { notice, sentence, unique } from "../lib/parts.js";

export const title = "Sign in";

export default function view(main, params, app) {
    const [user, secret] = [unique("name"), unique("password")];
    const told = h("div", { class: "told" });
    const name = h("input", {
        id: user,
        name: "username",
        autocomplete: "username",
        required: true,
        autocapitalize: "off",
        spellcheck: "false",
        maxlength: 64,
    });
    const password = h("input", {
        id: secret,
        name: "password",
        type: "password",
        autocomplete: "current-password",
        required: true,
    });
    const enter = h("button", { type: "submit", class: "btn primary wide" }, "Sign in");
    const form = h(
        "form",
        { class: "card stack enter", "aria-labelledby": "enter", onsubmit: submit },
        h("div", { class: "mark" }, document.querySelector(".brand svg").cloneNode(true)),
        h("h1", { id: "enter" }, "Sign in to sensord"),
        h("div", { class: "field" }, h("label", { for: user }, "Name"), name),
        h("div", { class: "field" }, h("label", { for: secret }, "Password"), password),
        told,
        enter,
    );
    main.append(form);
    const side = document.getElementById("side");
    side.classList.add("out");
    name.focus({ preventScroll: true });

    // Whoever comes here with a session, or where none is needed, has nothing to do here.
    if (app.me.user !== null || !app.me.login) {
        get("session").then(
            (me) => app.signed(me),
            () => {},
        );
    }

    async function submit(event) {
        event.preventDefault();
        if (enter.disabled) return;
        enter.disabled = true;
        told.replaceChildren();
        try {
            app.signed(await post("session", { name: name.value, password: password.value }));
        } catch (error) {
            told.replaceChildren(notice("bad", sentence(error.message)));
            password.value = "";
            password.focus();
        } finally {
            enter.disabled = false;
        }
    }

    return () => side.classList.remove("out");
}
