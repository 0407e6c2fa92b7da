/**
 * A chart of one series: look at a point, zoom by dragging, go along with what comes.
 */

import uPlot from "../vendor/uplot.js";
import { h, say } from "../lib/dom.js";
import { decimals, number, unit as behind } from "../lib/format.js";

/** What it is high, in CSS pixels. */
const HIGH = 190;

/** A gap so many times as long as is usual between two points is one: no line goes over it. */
const GAP = 6;

/** More points than a chart can show: then it is fetched anew. */
const MOST = 6_000;

const WHEN = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23",
});

/** Months and days as the language has them, hours up to 24. */
const AXIS = [
    [3600 * 24 * 365, "{YYYY}", null, null, null, null, null, null, 1],
    [3600 * 24 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [3600 * 24, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [3600, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
    [0.001, "{HH}:{mm}:{ss}.{fff}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];

export class Chart {
    /**
     * @param name what is measured.
     * @param unit its unit.
     * @param stepped whether a value holds until the next, as truth values do.
     * @param zoom called with (start, end) in microseconds when somebody wants to see that.
     */
    constructor(name, unit, stepped, zoom) {
        Object.assign(this, { name, unit, stepped, zoom });
        this.times = [];
        this.values = [];
        this._tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
        this._said = h("div", { class: "hidden", role: "status", "aria-live": "polite" });
        this._nothing = h("p", { class: "none", hidden: true });
        this.node = h("div", {
            // Arrows are for the chart: a screen reader is not to take them for its own.
            class: "plot", tabindex: "0", role: "application",
            "aria-roledescription": "chart", "aria-label": name,
            onkeydown: (event) => this._key(event), onblur: () => this._leave(),
        }, this._tip, this._nothing, this._said);
        this._span = [0, 1];
        this._plot = null;
        this._due = false;
        this._size = new ResizeObserver(() => this._fit());
        this._size.observe(this.node);
        this._redraw = () => this._plot?.redraw(false);
        document.documentElement.addEventListener("theme", this._redraw);
    }

    /** Show points, [µs, number] each, and a span of time in microseconds. */
    set(points, start, end) {
        const usual = median(points);
        this._gap = usual * GAP;
        this.times = [];
        this.values = [];
        for (const [time, value] of points) this._push(time / 1e6, value);
        this._span = [start / 1e6, end / 1e6];
        this._loaded = true;
        this._show();
    }

    /** A value has come. Returns false when there are so many that it is to be fetched anew. */
    add(time, value) {
        if (typeof value === "boolean") value = Number(value);
        if (typeof value !== "number") return true;
        const at = time / 1e6;
        const last = this.times.length - 1;
        if (last >= 0 && at <= this.times[last]) return true;  // an old one: it is there next time
        this._push(at, value);
        this._due = true;
        return this.times.length < MOST;
    }

    /** Move the span along, and paint what has come. */
    move(start, end) {
        this._span = [start / 1e6, end / 1e6];
        let old = 0;
        while (old < this.times.length - 1 && this.times[old + 1] < this._span[0]) old += 1;
        if (old > 200) {
            this.times.splice(0, old);
            this.values.splice(0, old);
        }
        this._show();
    }

    /** Whether something has come since it was painted. */
    get due() {
        return this._due;
    }

    /** The least and the greatest of what is shown; null without anything. */
    get figures() {
        const [from, until] = this._span;
        let [least, most] = [Infinity, -Infinity];
        this.values.forEach((value, place) => {
            if (value === null || this.times[place] < from || this.times[place] > until) return;
            least = Math.min(least, value);
            most = Math.max(most, value);
        });
        return least <= most ? { least, most } : null;
    }

    /** It is not needed any more. */
    destroy() {
        this._size.disconnect();
        document.documentElement.removeEventListener("theme", this._redraw);
        this._plot?.destroy();
        this._plot = null;
    }

    _push(at, value) {
        const last = this.times.length - 1;
        const { _gap: gap } = this;
        if (!this.stepped && gap && last >= 0 && at - this.times[last] > gap / 1e6) {
            this.times.push((at + this.times[last]) / 2);
            this.values.push(null);
        }
        this.times.push(at);
        this.values.push(value);
    }

    _show() {
        this._due = false;
        const { figures } = this;
        say(this._nothing, this._loaded ? "Nothing in this time." : "Loading …");
        this._nothing.hidden = figures !== null;
        this.node.setAttribute("aria-label", figures
            ? `${this.name}: least ${this._text(figures.least)}, most ${this._text(figures.most)}`
            : `${this.name}: nothing in this time`);
        if (!this._plot) {
            if (!this.node.clientWidth) return;  // it is shown as soon as it has a size
            this._plot = new uPlot(this._options(), [this.times, this.values], this.node);
            this._touch();
            return;
        }
        this._plot.batch(() => {
            this._plot.setData([this.times, this.values], false);
            this._plot.setScale("x", { min: this._span[0], max: this._span[1] });
        });
    }

    _fit() {
        const width = this.node.clientWidth;
        if (!width) return;
        if (!this._plot) this._show();
        else if (width !== this._plot.width) this._plot.setSize({ width, height: HIGH });
    }

    _options() {
        const grid = { stroke: () => colour("--line"), width: 1 };
        const axis = {
            stroke: () => colour("--muted"), font: "12px system-ui, sans-serif", grid,
            ticks: { show: false }, gap: 6,
        };
        return {
            width: this.node.clientWidth,
            height: HIGH,
            padding: [12, 22, 0, 0],  // half of the last label
            legend: { show: false },
            scales: {
                x: { time: true, range: () => this._span },
                y: { range: (_plot, least, most) => margins(least, most, this.stepped) },
            },
            axes: [
                { ...axis, values: AXIS, space: 70, size: 40 },
                {
                    ...axis, size: 52, space: 34,
                    values: (_plot, marks) => marks.map((mark) => short(mark, this.stepped)),
                },
            ],
            series: [{}, {
                stroke: () => colour("--accent"),
                fill: (plot) => fade(plot),
                fillTo: (plot) => plot.scales.y.min,
                width: 1.75,
                paths: this.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
                points: { show: (plot) => sparse(plot), size: 5, fill: () => colour("--accent") },
                spanGaps: false,
            }],
            cursor: {
                y: false,
                drag: { x: true, y: false, setScale: false },
                points: { size: 9, width: 2, stroke: () => colour("--card"),
                    fill: () => colour("--accent") },
                sync: { key: "device", setSeries: false },
                focus: { prox: -1 },
                dataIdx: (plot, _series, near, at) => nearest(plot, near, at),
            },
            hooks: {
                setCursor: [(plot) => this._point(plot)],
                setSelect: [(plot) => this._select(plot)],
            },
        };
    }

    /** Tell what is beneath the cursor. */
    _point(plot) {
        const { idx, left } = plot.cursor;
        const value = idx === null || idx === undefined ? null : this.values[idx];
        if (left < 0 || value === null || value === undefined) {
            this._tip.hidden = true;
            return;
        }
        const at = this.times[idx];
        this._tip.hidden = false;
        say(this._tip, `${this._text(value)}  ·  ${WHEN.format(at * 1000)}`);
        const x = plot.valToPos(at, "x") + plot.over.offsetLeft;
        const wide = this._tip.offsetWidth;
        const to = Math.max(0, Math.min(this.node.clientWidth - wide, x - wide / 2));
        this._tip.style.setProperty("transform", `translateX(${to.toFixed(0)}px)`);
        this._at = idx;
    }

    _select(plot) {
        const { left, width } = plot.select;
        if (width < 6) return;
        const [from, until] = [left, left + width].map((x) => plot.posToVal(x, "x") * 1e6);
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        this.zoom(Math.round(from), Math.round(until));
    }

    /** Look at points with a finger; up and down still moves the page. */
    _touch() {
        const { over } = this._plot;
        const move = (event) => {
            if (event.touches.length !== 1) return;
            const { left } = over.getBoundingClientRect();
            this._plot.setCursor({ left: event.touches[0].clientX - left, top: 10 });
        };
        over.addEventListener("touchstart", move, { passive: true });
        over.addEventListener("touchmove", move, { passive: true });
    }

    /** Along the points by the arrows; + and - zoom. */
    _key(event) {
        const { times, values, _plot: plot } = this;
        const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
        if (!plot || event.ctrlKey || event.altKey || event.metaKey) return;
        if (step) {
            let at = (this._at ?? values.length - (step < 0 ? 0 : 1)) + step;
            at = Math.max(0, Math.min(values.length - 1, at));
            while (values[at] === null) at += Math.sign(step);
            if (values[at] === undefined) return;
            plot.setCursor({ left: plot.valToPos(times[at], "x"), top: 10 });
            this._at = at;
            say(this._said, `${this._text(values[at])}, ${WHEN.format(times[at] * 1000)}`);
        } else if (event.key === "+" || event.key === "-") {
            const [from, until] = this._span;
            const middle = times[this._at] ?? (from + until) / 2;
            const half = (until - from) / (event.key === "+" ? 4 : 1);
            this.zoom(Math.round((middle - half) * 1e6), Math.round((middle + half) * 1e6));
        } else if (event.key === "Escape") {
            this._leave();
        } else {
            return;
        }
        event.preventDefault();
    }

    _leave() {
        this._at = undefined;
        this._plot?.setCursor({ left: -10, top: -10 });
    }

    _text(value) {
        if (this.stepped) return number(Boolean(value));
        return number(value, decimals(value)) + behind(this.unit);
    }
}

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name);
}

function fade(plot) {
    const paint = plot.ctx.createLinearGradient(0, plot.bbox.top, 0,
        plot.bbox.top + plot.bbox.height);
    const accent = colour("--accent").trim();
    paint.addColorStop(0, `${accent}38`);
    paint.addColorStop(1, `${accent}00`);
    return paint;
}

/** Points are marked where there are few. */
function sparse(plot) {
    const [from, until] = plot.series[0].idxs ?? [0, 0];
    return until - from < plot.bbox.width / devicePixelRatio / 24;
}

/** Some room above and below; for one that never changes, more. */
function margins(least, most, stepped) {
    if (stepped) return [-0.15, 1.15];
    if (least === null || most === null) return [0, 1];
    const free = (most - least) * 0.12 || Math.max(Math.abs(most) * 0.05, 0.5);
    return [least - free, most + free];
}

function short(mark, stepped) {
    if (stepped) return mark === 0 || mark === 1 ? number(Boolean(mark)) : "";
    if (Math.abs(mark) >= 1e6) return `${+(mark / 1e6).toFixed(2)} M`;
    if (Math.abs(mark) >= 1e4) return `${+(mark / 1e3).toFixed(1)} k`;
    return String(+mark.toFixed(6)).replace("-", "−");
}

/** The point that a cursor means: never the empty one in a gap. */
function nearest(plot, near, at) {
    const [times, values] = plot.data;
    if (values[near] !== null) return near;
    const [before, after] = [near - 1, near + 1];
    if (values[before] === undefined) return after;
    if (values[after] === undefined) return before;
    return at - times[before] < times[after] - at ? before : after;
}

/** What is usual between two points, in microseconds. */
function median(points) {
    const gaps = points.slice(1).map(([time], place) => time - points[place][0]);
    gaps.sort((a, b) => a - b);
    // Thinned series have their two points of a stretch close together: rather the wide ones.
    return gaps.length > 4 ? gaps[Math.floor(gaps.length * 0.8)] : 0;
}
