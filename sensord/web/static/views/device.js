/**
 * One device: all that is known of it, and a chart of everything that it measures.
 */

import { address as where, get } from "../lib/api.js";
import { calmly, clear, h, icon, say } from "../lib/dom.js";
import { ago, count, now, number, span, stamp, tick, time } from "../lib/format.js";
import { live } from "../lib/live.js";
import { settle } from "../lib/table.js";
import { bars, chip, status } from "./card.js";
import { order } from "./order.js";
import { Panel } from "./panel.js";

export const title = ([address]) => address ?? "Device";

const [MINUTE, HOUR] = [60_000_000, 3_600_000_000];

/** What can be shown: label, said, and how long it is; 0 is all that there is. */
const RANGES = {
    "1h": ["1 h", "The last hour", HOUR],
    "24h": ["24 h", "The last 24 hours", 24 * HOUR],
    "7d": ["7 d", "The last 7 days", 7 * 24 * HOUR],
    "30d": ["30 d", "The last 30 days", 30 * 24 * HOUR],
    all: ["All", "All that is stored", 0],
};

/** The wires by which nothing can be sent down. */
const DEAF = new Set(["esp8266", "http"]);

/** Milliseconds between two looks at the device. */
const [SOON, LATER] = [5_000, 30_000];

const ORDER = new Intl.Collator("en", { numeric: true });

/** Which range was chosen last, and whether anybody has. */
let [chosen, picked] = ["24h", false];

export default function view(main, [wanted], app) {
    const panels = new Map();
    const [asked, numeric] = [new Set(), new Set()];  // names of what is a text now
    let device = null;
    let zoomed = null;  // [start, end] in microseconds
    let over = false;
    let timer = null;
    let moved = 0;

    const name = h("h1", null, wanted);
    const [state, how] = [h("span", { class: "chip" }), h("span", { class: "chip", hidden: true })];
    const tags = h("div", { class: "row tags" });
    const facts = h("dl", { class: "card known" });
    const heard = h("time");
    const texts = h("dl", { class: "card texts", hidden: true });
    const charts = h("div", { class: "charts" });
    const nothing = h("div", { class: "empty", hidden: true });
    const ranges = h("div", { class: "choice", role: "group", "aria-label": "Time shown" },
        Object.entries(RANGES).map(([id, [label, said]]) => h("button", {
            type: "button", dataset: { range: id }, title: said,
            onclick: () => { [chosen, picked] = [id, true]; zoom(null); },
        }, label)));
    const window_ = h("span", { class: "muted window" });
    const step = (by, label, picture) => h("button", {
        type: "button", class: "btn quiet", "aria-label": label, title: label,
        onclick: () => shift(by),
    }, icon(picture));
    const later = step(0.5, "Later", "right");
    const reset = h("button", {
        type: "button", class: "btn", hidden: true, onclick: () => zoom(null),
    }, icon("reset"), "Live again");
    const csv = h("a", { class: "btn", download: "" }, icon("download"), "Export CSV");
    const describe = h("a", {
        class: "btn", hidden: app.me.role !== "operator",
        href: `#/describe/${encodeURIComponent(wanted)}`,
    }, icon("describe"), "Describe");
    const send = h("div", { hidden: true });

    main.append(
        h("a", { class: "backward", href: "#/" }, icon("back"), "All devices"),
        h("div", { class: "head" }, name, how, state,
            h("div", { class: "row" }, describe, csv)),
        tags, facts,
        h("div", { class: "toolbar over" }, ranges, step(-0.5, "Earlier", "left"), later, window_,
            reset),
        nothing, texts, charts, send);

    const seen = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries) {
            target.panel.visible = isIntersecting;
            if (isIntersecting) target.panel.show(shown(), zoomed === null);
        }
    }, { rootMargin: "200px" });

    /** What is shown: [start, end] in microseconds; null is all that there is. */
    function shown() {
        if (zoomed) return zoomed;
        const [, , length] = RANGES[chosen];
        return length ? [now() - length, now()] : null;
    }

    function zoom(to) {
        if (to && to[1] - to[0] < 1_000_000) return;
        zoomed = to;
        for (const panel of panels.values()) {
            panel.stale = true;
            if (panel.visible) panel.show(shown(), zoomed === null);
        }
        tools();
    }

    function shift(by) {
        const [start, end] = shown() ?? extent();
        const width = end - start;
        const last = now();
        if (end + width * by >= last) zoom(zoomed && end < last ? [last - width, last] : null);
        else zoom([start + width * by, end + width * by]);
    }

    /** From when to when there is anything. */
    function extent() {
        const spans = [...panels.values()].map((panel) => panel.span).filter(Boolean);
        if (!spans.length) return [now() - 24 * HOUR, now()];
        // As the charts have it: a minute at least.
        return [Math.min(now() - MINUTE, ...spans.map(([start]) => start)), now()];
    }

    function tools() {
        for (const button of ranges.children) {
            button.setAttribute("aria-pressed", !zoomed && button.dataset.range === chosen);
        }
        later.disabled = !zoomed;
        reset.hidden = !zoomed;
        say(window_, zoomed ? `${time(zoomed[0])} – ${time(zoomed[1])}` : "");
        const [start, end] = shown() ?? ["forever", ""];
        csv.href = where("export", {
            device: device?.name ?? wanted, start: exact(start), end: exact(end),
        });
    }

    function show(found) {
        const first = device === null;
        device = found;
        say(name, device.name);
        document.title = `${device.name} · sensord`;
        states();
        clear(tags).append(...Object.entries(device.tags).map(([key, value]) =>
            h("span", { class: "chip" }, `${key}: ${value}`)));
        tags.hidden = !tags.children.length;
        settleFacts();
        values();
        if (first) {
            // Of one that was heard for less than that, most of a day would be empty.
            const seconds = device.received * (device.interval ?? 0);
            if (!picked) chosen = seconds > 0 && seconds < 7200 ? "1h" : "24h";
            tools();
            send.hidden = app.me.role !== "operator" || DEAF.has(device.wire);
            if (!send.hidden) order(send, device, app);
        }
    }

    function states() {
        chip(state, device.state);
        const worst = status(device);
        chip(how, worst === "undefined" ? "" : worst);
        for (const one of device.values) panels.get(one.name)?.now(one);
    }

    function settleFacts() {
        const { address, wire, interval, received, missed, restarts, rssi, connected } = device;
        const rows = [
            ["Last heard", heard],
            ["Address", h("span", { class: "mono" }, address)],
            ["Wire", wire || "unknown"],
            ["Interval", interval ? span(interval) : "unknown"],
            ["Received", count(received)],
            ["Missed", count(missed)],
            ["Restarts", count(restarts)],
            rssi === null ? null : ["Signal", h("span", { class: "signal" }, bars(rssi),
                `${number(rssi)} dBm`)],
            ["Link", connected ? "connected" : "none"],
        ];
        clear(facts).append(...rows.filter(Boolean).map(([label, value]) =>
            h("div", null, h("dt", null, label), h("dd", null, value))));
        clock();
    }

    function clock(at) {
        say(heard, ago(device?.heard, at));
        if (!device?.heard) return;
        Object.assign(heard, { dateTime: stamp(device.heard), title: time(device.heard) });
    }

    /** A panel for each value that is a number, a line for each that is a text. */
    function values() {
        const sorted = [...device.values].sort((a, b) => ORDER.compare(a.name, b.name));
        const numbers = sorted.filter((one) => typeof one.value !== "string"
            || numeric.has(one.name));
        const names = new Set(numbers.map((one) => one.name));
        for (const one of numbers) {
            let panel = panels.get(one.name);
            if (!panel) {
                panel = new Panel(device, one, (start, end) => zoom([start, end]), app);
                panels.set(one.name, panel);
                panel.node.panel = panel;
                seen.observe(panel.node);
            }
            panel.now(one);
        }
        for (const [key, panel] of panels) {
            if (!names.has(key)) {
                seen.unobserve(panel.node);
                panel.destroy();
                panels.delete(key);
            }
        }
        settle(charts, numbers.map((one) => panels.get(one.name).node));
        charts.classList.toggle("many", numbers.length > 1);
        const said = sorted.filter((one) => typeof one.value === "string");
        said.forEach(recall);
        clear(texts).append(...said.map((one) => h("div", null, h("dt", null, one.name),
            h("dd", null, one.value))));
        texts.hidden = !said.length;
        nothing.hidden = sorted.length > 0;
        if (!sorted.length) say(nothing, "It has not sent anything that is stored.");
    }

    /** What is a text now may have been a number before: then there is a chart of that. */
    async function recall({ name }) {
        if (asked.has(name)) return;
        asked.add(name);
        const range = { device: device.name, name, start: "forever", points: 2 };
        const { points } = await get("history", range).catch(() => ({ points: [] }));
        if (over || !points.length) return;
        numeric.add(name);
        values();
    }

    async function load() {
        clearTimeout(timer);
        try {
            const all = await get("devices");
            const found = all.find((one) => one.address === wanted)
                ?? all.find((one) => one.name === wanted);
            if (over) return;
            if (found) {
                show(found);
            } else {
                nothing.hidden = false;
                clear(nothing).append(`There is no device ${wanted}. `,
                    h("a", { href: "#/" }, "All devices"));
            }
        } catch (error) {
            if (!device && !over) {
                nothing.hidden = false;
                say(nothing, `The device cannot be shown: ${error.message}.`);
            }
        }
        clearTimeout(timer);
        if (!over) timer = setTimeout(load, document.hidden ? LATER * 4 : LATER);
    }

    const look = calmly(SOON, () => { if (!over && !document.hidden) load(); });

    const calls = [
        live("readings", (readings) => {
            if (!device) return;
            for (const reading of readings) {
                if (reading.device !== device.name) continue;
                device.heard = Math.max(device.heard ?? 0, now());
                const one = device.values.find((value) => value.name === reading.name);
                if (!one) {
                    look();
                    continue;
                }
                if (reading.time >= one.time) {
                    Object.assign(one, { value: reading.value, time: reading.time });
                }
                if (one.status !== "undefined") look();
                panels.get(reading.name)?.take(reading, one);
            }
        }),
        live("devices", (changes) => {
            for (const change of changes) {
                if (device && change.address === device.address) {
                    device.state = change.state;
                    states();
                    look();
                }
            }
        }),
        live("reset", () => {
            load();
            for (const panel of panels.values()) panel.stale = true;
            zoom(zoomed);
        }),
        tick((at) => {
            if (!device) return;
            clock(at);
            const range = shown();
            // A long time hardly moves in a second.
            const due = range === null || (at - moved) * 1500 > range[1] - range[0];
            for (const panel of panels.values()) {
                if (panel.visible && !zoomed && (due || panel.due)) panel.move(range);
            }
            if (due) moved = at;
        }),
    ];

    const back = () => document.hidden || look();  // statuses are not asked for meanwhile
    document.addEventListener("visibilitychange", back);
    calls.push(() => document.removeEventListener("visibilitychange", back));

    tools();
    load();

    return () => {
        over = true;
        clearTimeout(timer);
        look.stop();
        seen.disconnect();
        calls.forEach((off) => off());
        for (const panel of panels.values()) panel.destroy();
    };
}

function exact(when) {
    return typeof when === "number" ? Math.round(when) : when;
}
