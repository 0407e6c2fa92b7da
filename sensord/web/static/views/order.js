/**
 * Telling one device something.
 */

import { get, post } from "../lib/api.js";
import { calmly, clear, h, icon, say } from "../lib/dom.js";
import { ago, number, stamp } from "../lib/format.js";
import { live } from "../lib/live.js";

/** How many past commands are shown. */
const PAST = 5;

/** How what became of a command looks. */
const LOOKS = { sent: "ok", pending: "warn", expired: "bad", refused: "bad" };

/** Fill a node with the form and the last commands. */
export function order(node, device, app) {
    const names = h("datalist", { id: "variables" });
    const variable = h("input", {
        id: "variable", required: true, autocomplete: "off", list: "variables", spellcheck: "false",
        maxlength: "100",
    });
    const value = h("input", {
        id: "value", required: true, inputmode: "decimal", autocomplete: "off",
    });
    const fault = h("p", { class: "fault", role: "alert", id: "order-fault", hidden: true });
    const button = h("button", { class: "btn primary" }, icon("commands"), "Send");
    const past = h("ul", { class: "past" });

    function wrong(text, input) {
        fault.hidden = !text;
        say(fault, text);
        for (const one of [variable, value]) {
            if (text && one === input) one.setAttribute("aria-invalid", "true");
            else one.removeAttribute("aria-invalid");
        }
        if (text) input?.focus();
    }

    async function submit(event) {
        event.preventDefault();
        const said = value.value.trim().replace(",", ".");
        const wanted = Number(said);
        if (!variable.value.trim()) return wrong("Which variable?", variable);
        if (!said || !Number.isFinite(wanted)) return wrong("The value is no number.", value);
        wrong("");
        button.disabled = true;
        try {
            const done = await post("commands", {
                address: device.address, variable: variable.value.trim(), value: wanted,
            });
            app.toast(done.state === "sent" ? `Sent to ${device.name}.`
                : `${device.name} gets it when it is awake.`, "ok");
        } catch (error) {
            wrong(`${error.answer?.why || error.message}`, variable);
        }
        button.disabled = false;
        return list();
    }

    async function list() {
        if (!node.isConnected) return off();
        try {
            const all = await get("commands", { limit: 200 });
            const mine = all.filter((one) => one.address === device.address
                || one.address === device.name);
            const taken = mine.filter((one) => one.state !== "refused");
            clear(names).append(...[...new Set(taken.map((one) => one.variable))]
                .map((one) => h("option", { value: one })));
            clear(past).append(...mine.slice(0, PAST).map(line));
        } catch {
            return null;  // the form does without
        }
        return null;
    }

    function line(one) {
        return h("li", null,
            h("span", { class: `chip ${LOOKS[one.state] ?? ""}`, title: one.why }, one.state),
            h("span", null, `${one.variable} = ${number(one.value)}`),
            h("time", { class: "muted", datetime: stamp(one.time) }, `${ago(one.time)} by ${one.who}`));
    }

    const again = calmly(300, list);
    const off = live("commands", again);
    node.className = "card order";
    clear(node).append(
        h("h2", null, "Send a command"),
        h("form", { novalidate: true, onsubmit: submit, "aria-describedby": "order-fault" },
            h("div", { class: "field" }, h("label", { for: "variable" }, "Variable"), variable, names),
            h("div", { class: "field" }, h("label", { for: "value" }, "Value"), value),
            button),
        fault, past);
    list();
}
