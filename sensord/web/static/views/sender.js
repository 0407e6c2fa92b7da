/**
 * The form by which a command is sent.
 */

import { post } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { action, choice, doing, notice, sentence, unique } from "../lib/parts.js";
import { ALL, told } from "./delivery.js";

/**
 * Make it.
 *
 * @param wanted the address that is filled in at first.
 * @param devices all that are known, by address.
 * @param deliveries what was sent before, by id.
 * @param learn told of what was sent.
 * @return {node, offer()}; offer() takes up other devices.
 */
export function sender(wanted, devices, deliveries, app, learn) {
    const [known, variables, where, what, value] = [
        "known",
        "variables",
        "address",
        "variable",
        "value",
    ].map(unique);
    const options = h("datalist", { id: known });
    const names = h("datalist", { id: variables });
    const outcome = h("div", { class: "outcome", role: "status" });
    const to = h("input", {
        id: where,
        list: known,
        required: true,
        value: wanted === ALL ? "" : wanted,
        maxlength: 200,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
        placeholder: "hall, or pages/1",
        onfocus: () => to.select(),
        oninput: suggest,
    });
    const one = h("div", { class: "field" }, h("label", { for: where }, "Device"), to, options);
    const target = choice(
        "Address",
        [
            ["one", "One device"],
            [ALL, "All connected"],
        ],
        wanted === ALL ? ALL : "one",
        (chosen) => {
            one.hidden = to.disabled = chosen === ALL;
            suggest();
        },
    );
    one.hidden = to.disabled = wanted === ALL;
    const variable = h("input", {
        id: what,
        list: variables,
        required: true,
        maxlength: 200,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
        placeholder: "LED",
    });
    const amount = h("input", {
        id: value,
        type: "number",
        step: "any",
        required: true,
        inputmode: "decimal",
        placeholder: "1",
    });
    const quick = ["1", "0"].map((set) =>
        h(
            "button",
            {
                type: "button",
                class: "btn",
                "aria-label": `Value ${set}`,
                onclick: () => {
                    amount.value = set;
                },
            },
            set === "1" ? "1 · on" : "0 · off",
        ),
    );
    const send = action("commands", "Send", { type: "submit", class: "btn primary wide" });
    const node = h(
        "form",
        { class: "card stack send", "aria-label": "Send a command", onsubmit: submit },
        h("h2", null, "Send a command"),
        target.node,
        one,
        h("div", { class: "field" }, h("label", { for: what }, "Variable"), variable, names),
        h(
            "div",
            { class: "field" },
            h("label", { for: value }, "Value"),
            h("div", { class: "joined" }, amount, quick),
        ),
        send,
        outcome,
    );

    async function submit(event) {
        event.preventDefault();
        const address = target.value === ALL ? ALL : to.value.trim();
        await doing(send, app, async () => {
            outcome.replaceChildren();
            const delivery = await post("commands", {
                address,
                variable: variable.value.trim(),
                value: amount.valueAsNumber,
            }).catch((error) => {
                if (error.answer?.state) return error.answer; // it was refused, and is listed
                outcome.replaceChildren(notice("bad", sentence(error.message)));
                return null;
            });
            if (!delivery) return;
            learn([delivery]);
            outcome.replaceChildren(...told(delivery, devices));
        });
    }

    /** Offer the variables that the device, or one of its kind, was sent before. */
    function suggest() {
        const text = to.value.trim();
        const named = [...devices.values()].find(
            (item) => item.address === text || item.name === text,
        );
        const kind = (named?.address ?? text).split("/")[0];
        const all = target.value === ALL || !text;
        const found = new Set(
            [...deliveries.values()]
                .filter(
                    (item) =>
                        item.state !== "refused" && (all || item.address.startsWith(`${kind}/`)),
                )
                .map((item) => item.variable),
        );
        if (all || !named || named.wire === "websocket") found.add("LED");
        names.replaceChildren(
            ...[...found].slice(0, 50).map((name) => h("option", { value: name })),
        );
    }

    function offer() {
        options.replaceChildren(
            ...[...devices.values()].map((item) =>
                h("option", {
                    value: item.name,
                    label: item.name === item.address ? item.wire : item.address,
                }),
            ),
        );
        suggest();
    }

    return { node, offer };
}
