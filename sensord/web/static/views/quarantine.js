/**
 * Quarantine: frames that no description fits, and the way to describe their devices.
 */

import { get } from "../lib/api.js";
import { h, icon, say } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { dump } from "../lib/frame.js";
import { head, operates, poll, running, set, when } from "../lib/parts.js";
import { settle, table } from "../lib/table.js";

export const title = "Quarantine";

/** Milliseconds between two questions, and how many frames are shown at the most. */
const [EVERY, LIMIT] = [5_000, 500];

export default function view(main, params, app) {
    const cards = new Map(); // by address
    const box = h("div");
    const grid = h("div", { class: "grid wide" });
    const unknown = h(
        "section",
        { class: "stack", hidden: true },
        h("h2", null, "Devices that are not described"),
        grid,
    );
    const frames = list();
    const search = h("input", {
        type: "search",
        placeholder: "Search",
        "aria-label": "Search frames",
        oninput: () => frames.filter(search.value),
    });
    const total = h("span", { class: "muted small" });
    const all = h(
        "section",
        { class: "stack", hidden: true },
        h(
            "div",
            { class: "toolbar bare" },
            h("h2", null, "Frames"),
            total,
            h("span", { class: "fill" }),
            h("div", { class: "search" }, icon("search"), search),
        ),
        frames.node,
    );
    const empty = h(
        "div",
        { class: "empty", hidden: true },
        "Quarantine is empty: every frame that came in could be understood.",
    );
    main.append(
        head(
            "Quarantine",
            "Frames that came in whole, and that nobody has described. They are kept; once their " +
                "device is described, they become readings of the time when they came.",
        ),
        box,
        unknown,
        all,
        empty,
    );

    const asking = poll(
        EVERY,
        (signal) => get("quarantine", { limit: LIMIT }, { signal }),
        (found) => {
            const groups = Map.groupBy
                ? Map.groupBy(found, (frame) => frame.address ?? "")
                : group(found);
            const shown = [];
            for (const [address, some] of groups) {
                if (!address) continue;
                if (!cards.has(address)) cards.set(address, card(address, app));
                cards.get(address).show(some);
                shown.push(cards.get(address).node);
            }
            settle(grid, shown);
            frames.update(found);
            say(
                total,
                found.length < LIMIT ? plural(found.length, "frame") : `the newest ${LIMIT}`,
            );
            unknown.hidden = !shown.length;
            all.hidden = !found.length;
            empty.hidden = found.length > 0;
        },
        box,
    );
    const rest = running(main);
    return () => {
        asking.stop();
        rest();
    };
}

function group(frames) {
    const found = new Map();
    for (const frame of frames) {
        const key = frame.address ?? "";
        found.set(key, [...(found.get(key) ?? []), frame]);
    }
    return found;
}

/** One device, with the newest of its frames. */
function card(address, app) {
    const count = h("span", { class: "chip warn" });
    const last = when(null);
    const via = h("span");
    const why = h("p", { class: "why" });
    const raw = h("div");
    let newest = null;
    const node = h(
        "article",
        { class: "card way" },
        h(
            "div",
            { class: "row" },
            h("h3", { class: "name" }, address),
            h("span", { class: "fill" }),
            count,
        ),
        h("p", { class: "muted small" }, via, " · ", last),
        why,
        raw,
        operates(app)
            ? h(
                  "div",
                  { class: "row end" },
                  h(
                      "a",
                      {
                          class: "btn primary",
                          href: `#/describe/${encodeURIComponent(address)}`,
                          "aria-label": `Describe ${address}`,
                      },
                      icon("describe"),
                      "Describe this device",
                  ),
              )
            : null,
    );

    function show(frames) {
        const [first] = frames;
        say(count, plural(frames.length, "frame"));
        if (first.id === newest) return;
        newest = first.id;
        say(via, first.wire);
        set(last, first.time);
        say(why, first.why);
        raw.replaceChildren(dump(first.data));
    }

    return { node, show };
}

/** All frames. */
function list() {
    const made = table({
        caption: "Frames in quarantine",
        sort: "-id",
        key: (item) => item.id,
        empty: "No frame has that in it.",
        columns: [
            {
                id: "id",
                label: "When",
                value: (item) => item.id,
                cell: (item, td, old) => (old ? null : when(item.time)),
            },
            {
                id: "from",
                label: "From",
                head: true,
                value: (item) => `${item.address ?? ""} ${item.listener} ${item.peer}`,
                cell: (item, td, old) =>
                    old?.address === item.address && old
                        ? null
                        : h(
                              "span",
                              { class: "two" },
                              item.address || item.listener,
                              h(
                                  "span",
                                  { class: "muted small mono" },
                                  item.address ? `${item.listener} · ${item.peer}` : item.peer,
                              ),
                          ),
            },
            { id: "why", label: "Reason", class: "why", value: (item) => item.why },
            {
                id: "data",
                label: "Raw",
                sort: false,
                class: "raw",
                value: (item) => item.data,
                cell: (item, td, old) => (old ? null : dump(item.data)),
            },
        ],
    });
    made.node.classList.add("folding");
    return made;
}
