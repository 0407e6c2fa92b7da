/**
 * A bar for a temperature, from -40 to 125 °C: what the sensors themselves can bear.
 */

import { h, say } from "../lib/dom.js";
import { number, unit as behind } from "../lib/format.js";

const [LEAST, MOST] = [-40, 125];
const MARKS = [-40, 0, 25, 50, 85, 125];
const FAHRENHEIT = new Set(["°f", "degf", "f", "fahrenheit"]);
const CELSIUS = new Set(["°c", "degc", "c", "celsius", "℃"]);

/** Whether a value is a temperature. */
export function isTemperature(name, unit) {
    const said = unit.trim().toLowerCase();
    return CELSIUS.has(said) || FAHRENHEIT.has(said)
        || (!said && /(^|[^a-z])temp(erature)?([^a-z]|$)/i.test(name));
}

export class Monitor {
    /** @param name what is measured. */
    constructor(name) {
        this._fill = h("span", { class: "beyond" });
        this._mark = h("span", { class: "needle" });
        this._bar = h("div", {
            class: "thermometer", role: "meter", "aria-label": name,
            "aria-valuemin": LEAST, "aria-valuemax": MOST,
        }, this._fill, this._mark);
        const scale = MARKS.map((at) => h("span", { style: { "--at": share(at) } },
            `${at}`.replace("-", "−") + (at === MOST ? " °C" : "")));
        this._out = h("span", { class: "fault" });
        this.node = h("div", { class: "monitor" }, this._bar,
            h("div", { class: "scale", "aria-hidden": "true" }, scale), this._out);
    }

    /** Show a value. */
    set(value, unit) {
        const known = typeof value === "number";
        const celsius = known && FAHRENHEIT.has(unit.trim().toLowerCase())
            ? (value - 32) / 1.8 : value;
        this._bar.classList.toggle("none", !known);
        if (!known) return;
        const at = Math.min(MOST, Math.max(LEAST, celsius));
        this._bar.style.setProperty("--at", share(at));
        this._bar.setAttribute("aria-valuenow", at.toFixed(1));
        this._bar.setAttribute("aria-valuetext", number(value) + behind(unit));
        say(this._out, at === celsius ? "" : "beyond the bar");
    }
}

function share(celsius) {
    return `${(((celsius - LEAST) / (MOST - LEAST)) * 100).toFixed(2)}%`;
}
