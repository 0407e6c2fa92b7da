/**
 * Hubs: a gateway of its own for each customer's hub; start, stop, restart and forget.
 */

import { get, post } from "../lib/api.js";
import { h, say } from "../lib/dom.js";
import { count } from "../lib/format.js";
import {
    action,
    confirm,
    doing,
    head,
    operates,
    poll,
    running,
    unique,
    when,
} from "../lib/parts.js";
import { table } from "../lib/table.js";

export const title = "Hubs";

/** Milliseconds between two questions. */
const EVERY = 3_000;

const STATES = {
    starting: "warn",
    running: "ok",
    stopping: "warn",
    stopped: "asleep",
    waiting: "warn",
    failed: "bad",
};

/** What can be done with a hub in each state. */
const ACTIONS = {
    starting: ["restart", "stop"],
    running: ["restart", "stop"],
    stopping: [],
    stopped: ["start", "forget"],
    waiting: ["start", "stop"],
    failed: ["start", "stop", "forget"],
};

const DONE = { start: "started", stop: "stopped", restart: "restarted", forget: "forgotten" };

const ASKED = {
    stop: "Its devices will not be heard until it is started again.",
    forget: "It is left out of the list. Its files stay where they are.",
};

export default function view(main, params, app) {
    const may = operates(app);
    const box = h("div");
    const hubs = list(may ? act : null);
    main.append(
        head("Hubs", "Each is a process with a database, a log and limits of its own."),
        may ? starter(app, () => asking.now()) : null,
        box,
        hubs.node,
    );

    async function act(button, hub, what) {
        if (
            ASKED[what] &&
            !(await confirm({
                title: `${label(what)} ${hub}?`,
                text: ASKED[what],
                verb: label(what),
                danger: true,
            }))
        )
            return;
        await doing(button, app, async () => {
            await post(`hubs/${encodeURIComponent(hub)}/${what}`);
            app.toast(`${hub} is ${DONE[what]}.`, "ok");
            await asking.now();
        });
    }

    const asking = poll(EVERY, (signal) => get("hubs", null, { signal }), hubs.update, box);
    const rest = running(main);
    return () => {
        asking.stop();
        rest();
    };
}

/** The form by which a hub is started the first time. */
function starter(app, changed) {
    const [id, of] = [unique("hub"), unique("group")];
    const hub = h("input", {
        id,
        required: true,
        maxlength: 64,
        autocomplete: "off",
        spellcheck: "false",
    });
    const group = h("input", {
        id: of,
        required: true,
        maxlength: 64,
        autocomplete: "off",
        spellcheck: "false",
    });
    const go = action("hubs", "Start", { type: "submit", class: "btn primary" });
    return h(
        "form",
        {
            class: "card line",
            "aria-label": "Start a hub",
            onsubmit: async (event) => {
                event.preventDefault();
                await doing(go, app, async () => {
                    await post(`hubs/${encodeURIComponent(hub.value.trim())}/start`, {
                        group: group.value.trim(),
                    });
                    app.toast(`${hub.value.trim()} is started.`, "ok");
                    hub.value = "";
                    changed();
                });
            },
        },
        h("div", { class: "field" }, h("label", { for: id }, "A new hub"), hub),
        h("div", { class: "field" }, h("label", { for: of }, "of the group"), group),
        go,
    );
}

/** The hubs. */
function list(act) {
    const columns = [
        { id: "hub", label: "Hub", head: true, value: (item) => item.hub },
        { id: "group", label: "Group", value: (item) => item.group },
        {
            id: "state",
            label: "State",
            value: (item) => item.state,
            cell: (item, td, old) =>
                old?.state === item.state && old.why === item.why
                    ? null
                    : h(
                          "span",
                          { class: "two" },
                          h(
                              "span",
                              { class: `chip ${STATES[item.state] ?? ""}` },
                              label(item.state),
                          ),
                          item.why ? h("span", { class: "small why" }, item.why) : null,
                      ),
        },
        {
            id: "since",
            label: "Since",
            value: (item) => item.since,
            cell: (item, td, old) =>
                old?.since === item.since ? null : when(Date.parse(item.since) * 1000),
        },
        {
            id: "restarts",
            label: "Restarts",
            class: "num",
            value: (item) => item.restarts,
            cell: (item) => count(item.restarts),
        },
        {
            id: "pid",
            label: "Process",
            class: "num muted",
            value: (item) => item.pid,
            cell: (item, td) => void say(td, item.pid ?? "–"),
        },
    ];
    if (act) {
        columns.push({
            id: "do",
            label: "",
            sort: false,
            class: "deeds",
            cell: (item, td, old) =>
                old?.state === item.state
                    ? null
                    : h(
                          "div",
                          { class: "row end" },
                          (ACTIONS[item.state] ?? []).map((what) =>
                              h(
                                  "button",
                                  {
                                      type: "button",
                                      class: `btn small ${ASKED[what] ? "danger" : ""}`,
                                      "aria-label": `${label(what)} ${item.hub}`,
                                      onclick: (event) => act(event.currentTarget, item.hub, what),
                                  },
                                  label(what),
                              ),
                          ),
                      ),
        });
    }
    const made = table({
        caption: "Hubs, and how each is",
        key: (item) => item.hub,
        columns,
        empty: "There are no hubs yet.",
    });
    made.node.classList.add("folding");
    return made;
}

function label(word) {
    return word.charAt(0).toUpperCase() + word.slice(1);
}
