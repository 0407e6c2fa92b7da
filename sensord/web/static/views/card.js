/**
 * One device among others: its state and its newest values.
 */

import { clear, h, icon, say } from "../lib/dom.js";
import { ago, count, decimals, number, stamp, unit, words } from "../lib/format.js";
import { Spark } from "./spark.js";

/** How many values are shown of a device before somebody asks for the others. */
const SHOWN = 3;

/** How states and statuses look. */
export const LOOKS = {
    awake: "ok", asleep: "asleep", overdue: "warn", lost: "bad",
    normal: "", warning: "warn", critical: "bad",
};
export const STATES = ["awake", "asleep", "overdue", "lost"];
const WORST = ["undefined", "normal", "warning", "critical"];
const ORDER = new Intl.Collator("en", { numeric: true });

/** The worst status of a device's values; "undefined" where nothing has thresholds. */
export function status(device) {
    return device.values.reduce((worst, { status: one }) =>
        (WORST.indexOf(one) > WORST.indexOf(worst) ? one : worst), "undefined");
}

/** Where a device's own page is. */
export function page(address) {
    return `#/device/${encodeURIComponent(address)}`;
}

/** How well a radio is heard, in four steps. */
export function bars(rssi) {
    const level = rssi > -60 ? 4 : rssi > -70 ? 3 : rssi > -82 ? 2 : 1;
    const node = h("span", { class: "bars", "aria-hidden": "true" });
    for (let n = 1; n <= 4; n += 1) node.append(h("i", { class: n <= level ? "on" : null }));
    return node;
}

export class Card {
    constructor(device) {
        this.rows = new Map();
        this.visible = false;
        this.loaded = 0;  // when its sparklines were last fetched
        this._dirty = new Set();
        this._all = false;
        this._chosen = [];
        this._state = h("span", { class: "chip" });
        this._status = h("span", { class: "chip" });
        this._link = h("a", { href: page(device.address) });
        this._place = h("span", { class: "place" });
        this._address = h("span", { class: "mono address" });
        this._heard = h("time", { class: "heard" });
        this._list = h("dl", { class: "latest" });
        this._more = h("button", {
            type: "button", class: "btn quiet fold", hidden: true,
            onclick: () => this._unfold(),
        });
        this._foot = h("p", { class: "signs" });
        this.node = h("li", { class: "card device" },
            h("div", { class: "title" },
                h("h2", null, this._link),
                h("span", { class: "chips" }, this._status, this._state)),
            h("p", { class: "under" }, this._place, this._address, this._heard),
            this._list, this._more, this._foot);
        this.node.card = this;
        this.update(device);
    }

    /** What it is found by. */
    get text() {
        const { name, address, tags, wire, state, values } = this.device;
        return [name, address, wire, state, ...Object.values(tags), ...values.map((one) => one.name)]
            .join("\n").toLowerCase();
    }

    /** The device is like this now. */
    update(device) {
        this.device = device;
        this.status = status(device);
        say(this._link, device.name);
        const tags = Object.entries(device.tags);
        const place = device.tags.place ?? tags.map(([, value]) => value).join(", ");
        say(this._place, place);
        // A place that is called as the device itself says nothing.
        this._place.hidden = !place || place.toLowerCase() === device.name.toLowerCase();
        say(this._address, device.address);
        this._address.hidden = device.address === device.name;
        this._facts();
        this.states();
        const values = device.values.filter((one) => one.name !== "rssi" || device.rssi === null);
        values.sort((a, b) => ORDER.compare(a.name, b.name));
        this._values = values;
        this._fit();
        for (const one of values) this._set(one);
        this.flush();
        this.tick();
    }

    /** A value has come; it is painted by L{flush}. Returns false if it was not known before. */
    take(reading, at) {
        const { device } = this;
        device.heard = Math.max(device.heard ?? 0, at);
        if (reading.name === "rssi" && device.rssi !== null) {
            device.rssi = reading.value;
            this._dirty.add(null);
            return true;
        }
        const one = this._values.find((value) => value.name === reading.name);
        if (!one) return false;
        this.rows.get(one.name)?.spark.add(reading.time, reading.value);
        if (reading.time >= one.time) {
            one.value = reading.value;
            one.time = reading.time;
        }
        this._dirty.add(one.name);
        return true;
    }

    /** Paint the values that have come. */
    flush() {
        if (!this.visible || !this._dirty.size) return;
        for (const name of this._dirty) {
            const row = this.rows.get(name);
            if (row) this._paint(row);
            else if (name === null) this._facts();
        }
        this._dirty.clear();
    }

    /** A second has gone by. */
    tick(at) {
        const { heard } = this.device;
        say(this._heard, ago(heard, at));
        if (heard) this._heard.dateTime = stamp(heard);
    }

    /** Paint the lines. */
    draw() {
        for (const row of this.rows.values()) row.spark.draw();
    }

    /** The last hour of its values has come: lists of points by name. */
    history(series) {
        for (const [name, points] of Object.entries(series)) {
            const row = this.rows.get(name);
            if (!row) continue;
            row.spark.set(points);
            row.places = Math.max(row.places, ...points.map(([, value]) => decimals(value)));
            this._paint(row);
        }
        this.draw();
    }

    /** Show its states. */
    states() {
        const { state } = this.device;
        chip(this._state, state);
        chip(this._status, this.status === "undefined" ? "" : this.status);
        this.node.dataset.status = this.status;
        this.node.dataset.state = state;
    }

    _facts() {
        const { rssi, missed, restarts, interval } = this.device;
        const said = [rssi, missed, restarts, interval].join();
        if (said === this._said) return;
        this._said = said;
        clear(this._foot).append(...[
            rssi !== null && h("span", { title: "Strength of its signal" }, bars(rssi),
                h("span", { class: "hidden" }, "RSSI "), `${number(rssi)} dBm`),
            h("span", { class: missed ? "some" : null, title: "Messages that were lost" },
                icon("missed"), `${count(missed)} missed`),
        ].filter(Boolean));
    }

    _unfold() {
        this._all = !this._all;
        this._fit();
        this.draw();
        this.wish?.();  // the lines of the others may not be there yet
    }

    /** Have a row for each value that is shown. */
    _fit() {
        const values = this._values;
        const names = new Set((this._all ? values : this._choose(values)).map((one) => one.name));
        for (const [name, row] of this.rows) {
            if (!names.has(name)) {
                row.node.remove();
                this.rows.delete(name);
            }
        }
        let after = null;
        for (const one of values) {
            if (!names.has(one.name)) continue;
            let row = this.rows.get(one.name);
            if (!row) this.rows.set(one.name, row = this._row(one));
            const place = after ? after.nextSibling : this._list.firstChild;
            if (row.node !== place) this._list.insertBefore(row.node, place);
            after = row.node;
        }
        const hidden = values.length - names.size;
        this._more.hidden = !hidden && !this._all;
        this._more.setAttribute("aria-expanded", this._all);
        say(this._more, this._all ? "Show fewer" : `Show ${hidden} more`);
    }

    /** The few values that are shown: what is wrong first, else those that are shown already. */
    _choose(values) {
        const few = values.length <= SHOWN + 1 ? SHOWN + 1 : SHOWN;
        const worth = (one) => (one.status === "warning" || one.status === "critical" ? 2 : 0)
            + (this._chosen.includes(one.name) ? 1 : 0);
        const chosen = [...values].sort((a, b) => worth(b) - worth(a)).slice(0, few);
        this._chosen = chosen.map((one) => one.name);
        return chosen;
    }

    _row(one) {
        const spark = new Spark();
        const value = h("span", { class: "amount" });
        const behind = h("span", { class: "of" });
        const mark = h("span", { class: "hidden" });
        const node = h("div", null, h("dt", null, words(one.name)),
            h("dd", null, spark.node, h("span", { class: "newest" }, mark, value, behind)));
        const row = { node, spark, value, behind, mark, one, places: 0 };
        this._paint(row);
        return row;
    }

    _set(one) {
        const row = this.rows.get(one.name);
        if (!row) return;
        row.one = one;
        row.spark.add(one.time, one.value);
        this._dirty.add(one.name);
    }

    _paint(row) {
        const { value, unit: of, status: how } = row.one;
        row.places = Math.max(row.places, decimals(value));
        say(row.value, number(value, row.places));
        say(row.behind, unit(of));
        row.node.dataset.status = how;
        say(row.mark, how === "warning" || how === "critical" ? `${how}: ` : "");
    }
}

/** Show a state in a chip. */
export function chip(node, state) {
    node.className = `chip ${LOOKS[state] ?? ""}`;
    node.hidden = !state;
    return say(node, state);
}
