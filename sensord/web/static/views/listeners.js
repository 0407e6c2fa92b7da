/**
 * Listeners: the ways in, with what the ledger has of each; start and stop.
 */

import { post } from "../lib/api.js";
import { h, say } from "../lib/dom.js";
import { count, plural } from "../lib/format.js";
import { action, confirm, doing, operates } from "../lib/parts.js";
import { EVERY, ways } from "../lib/ways.js";

export const title = "Listeners";

/** What the states mean: a word, how it looks, and what it says. */
const STATES = {
    open: ["Open", "ok", ""],
    closed: ["Closed", "bad", "Nothing can be stored just now, so that devices are refused."],
    absent: ["Absent", "bad", "What it listens on is not there; it is tried again."],
    stopped: ["Stopped", "asleep", ""],
};

/** What became of what came in: a key of the answer, a word, and the colour of its part. */
const FATES = [
    ["committed", "Stored", "ok"],
    ["duplicate", "Duplicate", "asleep"],
    ["rejected", "Rejected", "bad"],
    ["quarantined", "Quarantined", "warn"],
];

export default function view(main, params, app) {
    return ways(main, {
        path: "listeners",
        title,
        about: "The ways in. All that comes is counted, and becomes one of four things.",
        none: "The configuration has no listeners.",
        make: () => card(app),
    });
}

/** One listener. */
function card(app) {
    const name = h("h2");
    const wire = h("span", { class: "chip" });
    const chip = h("span", { class: "chip" });
    const where = h("p", { class: "mono where" });
    const what = h("p", { class: "muted small" });
    const connected = h("b");
    const refused = h("span", { class: "muted small" });
    const rate = h("b");
    const received = h("b");
    const parts = FATES.map(([, , kind]) => h("span", { class: kind }));
    const numbers = FATES.map(() => h("dd"));
    const button = action("", "", { onclick: toggle });
    button.replaceChildren();
    let item = null;
    let before = null;

    const node = h(
        "article",
        { class: "card way" },
        h("div", { class: "row" }, name, wire, h("span", { class: "fill" }), chip),
        where,
        what,
        h(
            "dl",
            { class: "figures" },
            h("div", null, h("dt", null, "Received"), h("dd", null, received)),
            h("div", null, h("dt", null, "Per second"), h("dd", null, rate)),
            h("div", null, h("dt", null, "Connections"), h("dd", null, connected, refused)),
        ),
        h("div", { class: "bar", "aria-hidden": "true" }, parts),
        h(
            "dl",
            { class: "legend" },
            FATES.map(([key, label, kind], place) =>
                h("div", { class: kind, dataset: { key } }, h("dt", null, label), numbers[place]),
            ),
        ),
        operates(app) ? h("div", { class: "row end" }, button) : null,
    );

    function show(one) {
        item = one;
        say(name, one.name);
        say(wire, one.wire);
        const [label, kind, why] = STATES[one.state] ?? [one.state, "", ""];
        say(chip, label).className = `chip ${kind}`;
        say(where, one.where);
        say(what, why).hidden = !why;
        say(received, count(one.received));
        say(connected, count(one.connected));
        say(refused, one.refused ? ` ${count(one.refused)} refused` : "");
        say(rate, speed(one.received));
        const whole = Math.max(
            1,
            FATES.reduce((sum, [key]) => sum + one[key], 0),
        );
        FATES.forEach(([key], place) => {
            say(numbers[place], count(one[key]));
            parts[place].hidden = !one[key];
            parts[place].style.setProperty("width", `${(100 * one[key]) / whole}%`);
        });
        const stopped = one.state === "stopped";
        say(button, stopped ? "Start" : "Stop").className =
            `btn ${stopped ? "primary" : "danger"}`;
        button.setAttribute("aria-label", `${stopped ? "Start" : "Stop"} ${one.name}`);
    }

    /** How fast it comes in, over some seconds. */
    function speed(received) {
        const at = performance.now();
        if (!before || before.received > received) before = { at, received, last: "–" };
        const passed = (at - before.at) / 1000;
        if (passed < (EVERY / 1000) * 0.8) return before.last;
        const per = (received - before.received) / passed;
        before = {
            at,
            received,
            last: per < 10 ? String(Math.round(per * 10) / 10) : count(Math.round(per)),
        };
        return before.last;
    }

    async function toggle() {
        const stopped = item.state === "stopped";
        if (
            !stopped &&
            !(await confirm({
                title: `Stop ${item.name}?`,
                text: item.connected
                    ? `${plural(item.connected, "connection")} will be cut, and devices refused ` +
                      "until it is started again."
                    : "Devices will be refused until it is started again.",
                verb: "Stop",
                danger: true,
            }))
        )
            return;
        await doing(button, app, async () => {
            show(
                await post(
                    `listeners/${encodeURIComponent(item.name)}/${stopped ? "start" : "stop"}`,
                ),
            );
            app.toast(`${item.name} is ${stopped ? "started" : "stopped"}.`, "ok");
        });
    }

    return { node, show };
}
