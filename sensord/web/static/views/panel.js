/**
 * One value of a device: what it is now, what it was, and the monitor bar for a temperature.
 */

import { get } from "../lib/api.js";
import { h, say } from "../lib/dom.js";
import { ago, decimals, now, number, unit, words } from "../lib/format.js";
import { chip } from "./card.js";
import { Chart } from "./chart.js";
import { Monitor, isTemperature } from "./monitor.js";

/** The most points of a series. */
const POINTS = 2000;

export class Panel {
    /** @param zoom called with (start, end) when somebody wants to see that. */
    constructor(device, one, zoom, app) {
        this.visible = false;
        this.stale = true;
        this._device = device.name;
        this._name = one.name;
        this._app = app;
        this._turn = 0;
        this._places = 0;
        this._value = h("span", { class: "amount" });
        this._unit = h("span", { class: "of" });
        this._chip = h("span", { class: "chip", hidden: true });
        this._figures = h("p", { class: "extremes muted small" });
        this._chart = new Chart(words(one.name), one.unit, typeof one.value === "boolean", zoom);
        this._monitor = isTemperature(one.name, one.unit) ? new Monitor(words(one.name)) : null;
        this.node = h("section", { class: "card panel", "aria-label": words(one.name) },
            h("div", { class: "title" },
                h("h2", null, words(one.name), this._chip),
                h("p", { class: "newest" }, this._value, this._unit)),
            this._monitor?.node, this._chart.node, this._figures);
    }

    /** Whether something has come since it was painted. */
    get due() {
        return this._chart.due;
    }

    /** From when to when there is anything; null for nothing. */
    get span() {
        const { times } = this._chart;
        return times.length ? [times[0] * 1e6, times[times.length - 1] * 1e6] : null;
    }

    /** The value is this now. */
    now(one) {
        this._one = one;
        this._places = Math.max(this._places, decimals(one.value));
        say(this._value, number(one.value, this._places));
        say(this._unit, unit(one.unit));
        chip(this._chip, one.status === "warning" || one.status === "critical" ? one.status : "");
        this.node.dataset.status = one.status;
        this._monitor?.set(one.value, one.unit);
    }

    /** A value has come. */
    take(reading, one) {
        this.now(one);
        if (!this._live || this.stale) return;
        if (!this._chart.add(reading.time, reading.value)) this.stale = true;
    }

    /** Show a span of time; null is all that there is. */
    async show(range, live) {
        if (!this.stale) return;
        this.stale = false;
        this._live = live;
        const mine = ++this._turn;
        this.node.setAttribute("aria-busy", "true");
        try {
            const { points } = await get("history", {
                device: this._device, name: this._name, points: POINTS,
                start: range ? Math.round(range[0]) : "forever",
                end: live ? null : Math.round(range[1]),
            });
            if (mine !== this._turn) return;
            const pairs = points.map((point) => (Array.isArray(point) ? point
                : [point.time, point.mean]));
            this._chart.set(pairs, ...(range ?? this._all(pairs)));
            this._tell();
        } catch (error) {
            if (mine === this._turn) {
                this.stale = true;
                say(this._figures, `It cannot be shown: ${error.message}.`);
            }
        }
        if (mine === this._turn) this.node.removeAttribute("aria-busy");
    }

    /** Time goes on. */
    move(range) {
        if (this.stale) {
            this.show(range, true);
            return;
        }
        this._chart.move(...(range ?? this._all([[(this.span ?? [now()])[0]]])));
        this._tell();
    }

    /** It is not needed any more. */
    destroy() {
        this._turn += 1;
        this._chart.destroy();
    }

    /** The span of all that there is. */
    _all(pairs) {
        const end = now();
        const start = pairs.length ? pairs[0][0] : end - 3_600_000_000;
        return [Math.min(start, end - 60_000_000), end];
    }

    _tell() {
        const { figures } = this._chart;
        const plain = (value) => number(value, decimals(value)) + unit(this._one.unit);
        const shown = figures && typeof this._one.value !== "boolean"
            ? `least ${plain(figures.least)}  ·  most ${plain(figures.most)}` : "";
        say(this._figures, shown || `last value ${ago(this._one.time)}`);
    }
}
