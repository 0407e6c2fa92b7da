/**
 * Commands: a value for a variable of one device or of all, and what became of those before.
 */

import { get } from "../lib/api.js";
import { h, icon } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { choice, head, operates, poll, running, when } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { ALL, STATES, exact, fate } from "./delivery.js";
import { sender } from "./sender.js";

export const title = "Commands";

/** How many are shown at first, and how many times more by "Show older ones", up to a limit. */
const [FIRST, MORE, MOST] = [100, 5, 10_000];

/** Milliseconds between two questions: what becomes of commands is told anyhow. */
const EVERY = 60_000;

export default function view(main, params, app) {
    const devices = new Map(); // by address
    const deliveries = new Map(); // by id
    let limit = FIRST;
    let state = "";

    const box = h("div");
    const past = list(devices);
    const search = h("input", {
        type: "search",
        placeholder: "Search",
        "aria-label": "Search commands",
        oninput: filter,
    });
    const states = choice(
        "State",
        [["", "All"], ...Object.entries(STATES).map(([name, [label]]) => [name, label])],
        "",
        (chosen) => {
            state = chosen;
            filter();
        },
    );
    const older = h(
        "button",
        {
            type: "button",
            class: "btn",
            hidden: true,
            onclick: () => {
                limit = Math.min(limit * MORE, MOST);
                asking.now();
            },
        },
        "Show older ones",
    );
    const form = operates(app) ? sender(params[0] ?? "", devices, deliveries, app, learn) : null;

    main.append(
        head(
            "Commands",
            "Values that are sent down to devices. For one that is away, a command waits.",
        ),
        h(
            "div",
            { class: form ? "beside" : "" },
            form?.node,
            h(
                "section",
                { "aria-label": "Past commands" },
                h(
                    "div",
                    { class: "toolbar" },
                    h("div", { class: "search" }, icon("search"), search),
                    states.node,
                ),
                box,
                past.node,
                h("div", { class: "row end more-rows" }, older),
            ),
        ),
    );

    function filter() {
        past.filter(search.value, state ? (item) => item.state === state : null);
    }

    /** Take up what became of some commands. */
    function learn(list) {
        for (const one of list) {
            for (const part of one.parts?.length ? one.parts : [one]) {
                if (part.id) deliveries.set(part.id, part);
            }
        }
        show();
    }

    function show() {
        const items = [...deliveries.values()].sort((a, b) => b.id - a.id).slice(0, limit);
        past.update(items);
        for (const name of Object.keys(STATES)) {
            states.count(name, items.filter((item) => item.state === name).length);
        }
    }

    const asking = poll(
        EVERY,
        async (signal) => {
            const [all, found] = await Promise.all([
                get("devices", null, { signal }),
                get("commands", { limit }, { signal }),
            ]);
            return [all, found];
        },
        ([all, found]) => {
            devices.clear();
            for (const device of all) devices.set(device.address, device);
            deliveries.clear();
            learn(found);
            older.hidden = found.length < limit || limit >= MOST;
            form?.offer();
        },
        box,
    );
    const leaving = [asking.stop, live("commands", learn), running(main)];
    return () => leaving.forEach((leave) => leave());
}

/** Past commands. */
function list(devices) {
    const name = (item) => devices.get(item.address)?.name || item.address;
    const made = table({
        caption: "Past commands, with what became of each",
        sort: "-time",
        key: (item) => item.id,
        empty: "No commands were sent yet.",
        columns: [
            {
                id: "time",
                label: "When",
                value: (item) => item.time,
                cell: (item, td, old) => (old?.time === item.time ? null : when(item.time)),
            },
            {
                id: "device",
                label: "Device",
                head: true,
                value: (item) => `${name(item)} ${item.address}`,
                cell: (item, td) =>
                    td.dataset.name === name(item)
                        ? null
                        : device(item.address, (td.dataset.name = name(item))),
            },
            {
                id: "what",
                label: "Command",
                value: (item) => `${item.variable} ${item.value}`,
                cell: (item, td, old) =>
                    old
                        ? null
                        : h(
                              "span",
                              null,
                              item.variable,
                              h("span", { class: "muted" }, " = "),
                              h("b", null, exact(item.value)),
                          ),
            },
            {
                id: "state",
                label: "State",
                value: (item) => STATES[item.state]?.[0] ?? item.state,
                cell: (item, td, old) =>
                    old?.state === item.state && old.why === item.why ? null : fate(item),
            },
            { id: "who", label: "By", class: "muted", value: (item) => item.who },
        ],
    });
    made.node.classList.add("folding");
    return made;
}

function device(address, name) {
    return h(
        "span",
        { class: "two" },
        address === ALL ? "All" : name,
        name === address ? null : h("span", { class: "muted small mono" }, address),
    );
}
