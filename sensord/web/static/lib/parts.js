/**
 * What the views for operators share: questions before something is lost, buttons that are busy,
 * times that run on, and asking again and again.
 */

import { clear, h, icon } from "./dom.js";
import { ago, stamp, tick, time } from "./format.js";
import { live } from "./live.js";

let ids = 0;

/** An id that no other element has. */
export function unique(name = "id") {
    return `${name}-${++ids}`;
}

/**
 * Ask whether something is to be done.
 *
 * @param question.title what is asked.
 * @param question.text what it means: a text or nodes.
 * @param question.verb what the button says.
 * @param question.danger whether something is lost by it.
 * @return a promise of the answer; closing the dialog, also by Escape, is no.
 */
export function confirm({ title, text, verb, danger = false }) {
    return new Promise((resolve) => {
        const [heading, detail] = [unique("dialog"), unique("dialog")];
        const no = h(
            "button",
            { type: "button", class: "btn", onclick: () => node.close() },
            "Cancel",
        );
        const yes = h(
            "button",
            {
                type: "button",
                class: `btn ${danger ? "danger solid" : "primary"}`,
                onclick: () => node.close("yes"),
            },
            verb,
        );
        const node = h(
            "dialog",
            { class: "ask", "aria-labelledby": heading, "aria-describedby": detail },
            h("h2", { id: heading }, title),
            h("div", { id: detail, class: "muted" }, text),
            h("div", { class: "row end" }, no, yes),
        );
        node.addEventListener("close", () => {
            resolve(node.returnValue === "yes");
            node.remove();
        });
        node.addEventListener("click", (event) => {
            if (event.target === node) node.close(); // beside it
        });
        document.body.append(node);
        node.showModal();
        (danger ? no : yes).focus();
    });
}

/** The head of a view: its title, what it is for, and what can be done. */
export function head(title, text, ...actions) {
    return h(
        "div",
        { class: "head" },
        h(
            "div",
            { class: "intro" },
            h("h1", null, title),
            text ? h("p", { class: "muted" }, text) : null,
        ),
        actions.length ? h("div", { class: "row" }, actions) : null,
    );
}

/** Something that went wrong, or that one should know; it is read out. */
export function notice(kind, ...text) {
    return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
}

/** Whether somebody may change something. */
export function operates(app) {
    return app.me.role === "operator";
}

/** What is done by a button: while it is done the button rests; the reason of a failure is told. */
export async function doing(button, app, f) {
    if (button.getAttribute("aria-busy") === "true") return undefined;
    button.setAttribute("aria-busy", "true");
    try {
        return await f();
    } catch (error) {
        if (error.name === "AbortError") return undefined;
        app.toast(error.message, "bad");
        return undefined;
    } finally {
        button.removeAttribute("aria-busy");
    }
}

/** How long ago something was, running on; the time itself is its title. */
export function when(micros) {
    const node = h("time", { class: "when" });
    set(node, micros);
    return node;
}

/** Make such a node tell another time. */
export function set(node, micros) {
    node.micros = micros;
    node.title = micros ? time(micros) : "";
    if (micros) node.setAttribute("datetime", stamp(micros));
    refresh(node);
}

function refresh(node, at) {
    const text = ago(node.micros, at);
    if (node.textContent !== text) node.textContent = text;
}

/** Keep all that {@link when} has made beneath a node running, until it is told to stop. */
export function running(root) {
    return tick((at) => {
        for (const node of root.querySelectorAll("time.when")) refresh(node, at);
    });
}

/**
 * Ask again and again, as long as the page is seen, and each time that something may have been
 * missed.
 *
 * @param ms milliseconds between an answer and the next question.
 * @param ask given an AbortSignal; returns a promise.
 * @param show called with what it promised.
 * @param box where it is told that there is no answer.
 * @return {now(), stop()}
 */
export function poll(ms, ask, show, box) {
    const control = new AbortController();
    let timer = null;
    let turn = 0;

    async function now() {
        clearTimeout(timer);
        const mine = ++turn;
        try {
            const answer = await ask(control.signal);
            if (mine !== turn || control.signal.aborted) return;
            clear(box);
            show(answer);
        } catch (error) {
            if (mine !== turn || control.signal.aborted) return;
            if (error.status === undefined) console.error(error);
            clear(box).append(notice("bad", sentence(error.message)));
        }
        if (mine === turn) timer = setTimeout(now, document.hidden ? ms * 10 : ms);
    }

    const seen = () => document.hidden || now();
    const off = live("reset", now);
    document.addEventListener("visibilitychange", seen);
    now();
    return {
        now,
        stop() {
            turn++;
            control.abort();
            clearTimeout(timer);
            off();
            document.removeEventListener("visibilitychange", seen);
        },
    };
}

/** A reason as a sentence. */
export function sentence(text) {
    const whole = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.!?:]$/.test(whole) ? whole : `${whole}.`;
}

/** A button with an icon that has a name of its own. */
export function action(name, label, props, ...children) {
    return h(
        "button",
        { type: "button", class: "btn", ...props },
        icon(name),
        children.length ? children : label,
    );
}

/**
 * A few choices, of which one holds.
 *
 * @param choices a list of [value, label].
 * @return {node, value, count(value, n)}
 */
export function choice(label, choices, chosen, changed) {
    const buttons = new Map();
    const made = { node: null, value: chosen, count };
    for (const [value, text] of choices) {
        const number = h("b");
        buttons.set(value, [
            h(
                "button",
                {
                    type: "button",
                    "aria-pressed": String(value === chosen),
                    onclick: () => choose(value),
                },
                text,
                number,
            ),
            number,
        ]);
    }
    made.node = h(
        "div",
        { class: "choice", role: "group", "aria-label": label },
        [...buttons.values()].map(([button]) => button),
    );

    function choose(value) {
        made.value = value;
        for (const [one, [button]] of buttons)
            button.setAttribute("aria-pressed", String(one === value));
        changed(value);
    }

    function count(value, n) {
        const number = buttons.get(value)[1];
        const text = n ? String(n) : "";
        if (number.textContent !== text) number.textContent = text;
    }
    return made;
}
