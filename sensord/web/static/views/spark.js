/**
 * A line of the last hour, or of what there is of it, small enough to stand in a row.
 */

import { s } from "../lib/dom.js";
import { now } from "../lib/format.js";

/** Microseconds that it shows at most, and at least. */
const [HOUR, MINUTE] = [3_600_000_000, 60_000_000];

/** How many points it has, if they come live; twice as many are too many. */
const ENOUGH = 120;

/** Its size in units of its own, and what is left free above and below. */
const [WIDE, HIGH, FREE] = [120, 32, 4];

export class Spark {
    constructor() {
        this.points = [];
        this._area = s("path", { class: "area" });
        this._line = s("path", { class: "line" });
        this._dot = s("path", { class: "end" });
        this.node = s("svg", {
            class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none",
            "aria-hidden": "true",
        }, this._area, this._line, this._dot);
    }

    /** Show these points: a list of [µs, number], the oldest first. */
    set(points) {
        const newest = points.length ? points[points.length - 1][0] : -Infinity;
        // What came live while the question was on its way is newer than the answer.
        this.points = [...points, ...this.points.filter(([time]) => time > newest)];
    }

    /** A value has come. */
    add(time, value) {
        if (typeof value === "boolean") value = Number(value);
        if (typeof value !== "number") return;
        const { points } = this;
        const last = points.length - 1;
        if (last >= 0 && time < points[last][0]) {
            const place = points.findIndex(([other]) => other > time);
            points.splice(place, 0, [time, value]);
        } else if (last > 0 && time - points[last - 1][0] < (time - points[0][0]) / ENOUGH) {
            points[last] = [time, value];
        } else {
            points.push([time, value]);
            if (points.length > 2 * ENOUGH) this.points = points.filter((_, place) => place % 2);
        }
    }

    /** Paint it as of now. */
    draw() {
        const end = now();
        const first = this.points.findIndex(([time]) => time >= end - HOUR);
        if (first > 0) this.points.splice(0, first);
        else if (first < 0) this.points.length = 0;
        if (!this.points.length) return this._paint("", "", "");
        // What has just begun is shown as wide as it is.
        const start = Math.min(this.points[0][0], end - MINUTE);
        const width = end - start;
        let [least, most] = [Infinity, -Infinity];
        for (const [, value] of this.points) {
            least = Math.min(least, value);
            most = Math.max(most, value);
        }
        const spread = most - least;
        const x = (time) => (Math.min(1, (time - start) / width) * WIDE).toFixed(1);
        const y = (value) => (spread > 0
            ? HIGH - FREE - ((value - least) / spread) * (HIGH - 2 * FREE)
            : HIGH / 2).toFixed(1);
        const places = this.points.map(([time, value]) => `${x(time)} ${y(value)}`);
        const line = places.length > 1 ? `M${places.join("L")}` : "";
        const [from] = this.points[0];
        const [until] = this.points[this.points.length - 1];
        const area = line && spread > 0 ? `${line}L${x(until)} ${HIGH}L${x(from)} ${HIGH}Z` : "";
        return this._paint(area, line, `M${places[places.length - 1]}h0`);
    }

    _paint(area, line, dot) {
        this._area.setAttribute("d", area);
        this._line.setAttribute("d", line);
        this._dot.setAttribute("d", dot);
    }
}
