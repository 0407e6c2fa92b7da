/**
 * Dead letters: the readings that sinks refused, with the reasons; try them again, or give them up.
 */

import { get, post } from "../lib/api.js";
import { h, icon, say } from "../lib/dom.js";
import { plural, unit } from "../lib/format.js";
import { action, confirm, doing, head, operates, poll, running, when } from "../lib/parts.js";
import { table } from "../lib/table.js";
import { exact } from "./delivery.js";

export const title = "Dead letters";

/** Milliseconds between two questions, and how many are shown at the most. */
const [EVERY, LIMIT] = [10_000, 1_000];

export default function view(main, params, app) {
    const chosen = new Set(); // ids
    const may = operates(app);
    let letters = [];

    const box = h("div");
    const sink = h("select", { "aria-label": "Sink", onchange: again });
    const search = h("input", {
        type: "search",
        placeholder: "Search",
        "aria-label": "Search dead letters",
        oninput: filter,
    });
    const every = h("input", {
        type: "checkbox",
        onchange: () => {
            for (const item of shown()) {
                if (every.checked) chosen.add(item.id);
                else chosen.delete(item.id);
            }
            mark();
        },
    });
    const retry = action("reset", "", { onclick: () => act("retry") });
    const drop = action("close", "", { class: "btn danger", onclick: () => act("drop") });
    const [retries, drops] = [h("span"), h("span")];
    retry.append(retries);
    drop.append(drops);
    const tools = may
        ? h(
              "div",
              { class: "toolbar choose" },
              h("label", { class: "row check" }, every, "All shown"),
              h("span", { class: "fill" }),
              retry,
              drop,
          )
        : null;
    const note = h(
        "p",
        { class: "muted small", hidden: true },
        `These are the newest ${LIMIT}; there may be more.`,
    );
    const rows = list(chosen, may, mark);

    main.append(
        head(
            "Dead letters",
            "Readings that a sink will never take as they are. Tried again, they go to it once " +
                "more; dropped, they count as expired. The readings themselves stay stored here.",
        ),
        h(
            "div",
            { class: "toolbar" },
            h("div", { class: "search" }, icon("search"), search),
            h("div", { class: "pick" }, sink),
        ),
        tools,
        box,
        rows.node,
        note,
    );
    offer([], params[0] ?? "");

    function again() {
        chosen.clear();
        asking.now();
    }

    function filter() {
        rows.filter(search.value);
        mark();
    }

    /** The letters that the search leaves. */
    function shown() {
        return letters.filter((item) => rows.rows.get(item.id)?.tr.isConnected);
    }

    function mark() {
        const ids = new Set(letters.map((item) => item.id));
        for (const id of [...chosen]) if (!ids.has(id)) chosen.delete(id);
        for (const [id, row] of rows.rows) {
            const box = row.tr.querySelector("input");
            if (box) box.checked = chosen.has(id);
            row.tr.classList.toggle("chosen", chosen.has(id));
        }
        const all = shown();
        const some = all.filter((item) => chosen.has(item.id)).length;
        every.checked = some > 0 && some === all.length;
        every.indeterminate = some > 0 && some < all.length;
        if (tools) tools.hidden = !letters.length;
        const of = chosen.size ? ` ${chosen.size}` : sink.value ? ` all of ${sink.value}` : " all";
        say(retries, `Try${of} again`);
        say(drops, `Drop${of}`);
    }

    async function act(what) {
        const body = chosen.size
            ? { ids: [...chosen] }
            : sink.value
              ? { sink: sink.value }
              : { all: true };
        const which = chosen.size
            ? plural(chosen.size, "dead letter")
            : sink.value
              ? `all dead letters of ${sink.value}`
              : "all dead letters";
        if (
            what === "drop" &&
            !(await confirm({
                title: `Drop ${which}?`,
                text: "The sink will never have these readings. This cannot be undone.",
                verb: "Drop",
                danger: true,
            }))
        )
            return;
        await doing(what === "drop" ? drop : retry, app, async () => {
            const counts = Object.values(await post(`dead-letters/${what}`, body));
            const n = counts.reduce((sum, one) => sum + one, 0);
            const done =
                what === "drop"
                    ? n === 1
                        ? "is dropped"
                        : "are dropped"
                    : n === 1
                      ? "is tried again"
                      : "are tried again";
            app.toast(
                n ? `${plural(n, "dead letter")} ${done}.` : "There were none any more.",
                n ? "ok" : "warn",
            );
            chosen.clear();
            await asking.now();
        });
    }

    function offer(names, wanted) {
        const all = [...new Set([...names, wanted])].filter(Boolean).sort();
        if (sink.options.length === all.length + 1 && sink.value === wanted) return;
        sink.replaceChildren(
            h("option", { value: "" }, "All sinks"),
            ...all.map((name) => h("option", { value: name }, name)),
        );
        sink.value = wanted;
    }

    const asking = poll(
        EVERY,
        (signal) =>
            Promise.all([
                get("dead-letters", { sink: sink.value, limit: LIMIT }, { signal }),
                get("sinks", null, { signal }),
            ]),
        ([found, sinks]) => {
            letters = found;
            offer(
                sinks.map((one) => one.name),
                sink.value,
            );
            rows.update(found);
            note.hidden = found.length < LIMIT;
            mark();
        },
        box,
    );
    const rest = running(main);
    return () => {
        asking.stop();
        rest();
    };
}

/** The letters. */
function list(chosen, may, changed) {
    const columns = [
        { id: "sink", label: "Sink", value: (item) => item.sink },
        {
            id: "what",
            label: "Reading",
            head: true,
            value: (item) => `${item.device} ${item.name} ${item.value} ${item.unit}`,
            cell: (item, td, old) =>
                old?.retry === item.retry
                    ? null
                    : h(
                          "span",
                          { class: "two" },
                          h(
                              "span",
                              null,
                              `${item.device} · ${item.name} = `,
                              h("b", null, exact(item.value), unit(item.unit)),
                          ),
                          item.retry
                              ? h("span", { class: "chip asleep" }, "Waits to be tried again")
                              : null,
                      ),
        },
        { id: "why", label: "Reason", class: "why", value: (item) => item.why },
        { id: "time", label: "Measured", value: (item) => item.time, cell: time("time") },
        { id: "died", label: "Refused", value: (item) => item.died, cell: time("died") },
    ];
    if (may) {
        columns.unshift({
            id: "chosen",
            label: "",
            sort: false,
            class: "pick",
            cell: (item, td, old) =>
                old
                    ? null
                    : h("input", {
                          type: "checkbox",
                          "aria-label": `Choose ${item.device} ${item.name}`,
                          checked: chosen.has(item.id),
                          onchange: (event) => {
                              if (event.target.checked) chosen.add(item.id);
                              else chosen.delete(item.id);
                              changed();
                          },
                      }),
        });
    }
    const made = table({
        caption: "Dead letters, with the reason for which each was refused",
        sort: "-died",
        key: (item) => item.id,
        columns,
        empty: "No dead letters: the sinks have taken all that they were offered.",
    });
    made.node.classList.add("folding");
    return made;
}

function time(key) {
    return (item, td, old) => (old?.[key] === item[key] ? null : when(item[key]));
}
