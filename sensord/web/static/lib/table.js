/**
 * A table that can be sorted and filtered, with rows that are kept by their key: what does not
 * change is not touched, so that focus and selection stay while it is live.
 */

import { clear, h, say } from "./dom.js";

const ORDER = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/**
 * @param options.caption what the table is of, for those who do not see it.
 * @param options.columns a list of {id, label, value(item), cell(item, td, old), sort, class}.
 *     `value` is what it is sorted and searched by (a text or number); `cell`, if given, fills the
 *     cell: it returns a text or a node, or a falsy value if it has changed the cell itself. It
 *     cannot be sorted by with `sort: false`; `head: true` makes the cell the row's header.
 * @param options.key the key of an item.
 * @param options.empty what is shown without any item: a text or a node.
 * @param options.sort the id of the column it is sorted by at first, with "-" before it for downwards.
 * @param options.row called with (tr, item) when a row is made or changes.
 * @return {node, update(items), patch(item), drop(key), filter(text, test), rows}
 */
export function table(options) {
    const { columns, key } = options;
    const rows = new Map();
    let [by, down] = order(options.sort ?? columns.find((one) => one.sort !== false)?.id ?? "");
    let text = "";
    let test = null;

    const heads = columns.map((column) => {
        const label = column.sort === false
            ? column.label
            : h("button", { type: "button", class: "sort", onclick: () => choose(column.id) },
                column.label);
        return h("th", { scope: "col", class: column.class }, label);
    });
    const body = h("tbody");
    const nothing = h("div", { class: "empty", hidden: true }, options.empty ?? "Nothing here.");
    const node = h("div", { class: "table" },
        h("table", null,
            h("caption", { class: "hidden" }, options.caption),
            h("thead", null, h("tr", null, heads)),
            body),
        nothing);

    function choose(id) {
        down = by === id ? !down : false;
        by = id;
        arrange();
    }

    function make(item) {
        const tr = h("tr");
        const cells = columns.map((column) => {
            const td = column.head
                ? h("th", { scope: "row", class: column.class })
                : h("td", { class: column.class, dataset: { label: column.label } });
            tr.append(td);
            return td;
        });
        return { tr, cells, item: null };
    }

    function paint(row, item) {
        columns.forEach((column, place) => {
            const td = row.cells[place];
            const made = column.cell ? column.cell(item, td, row.item) : column.value(item);
            if (made instanceof Node) {
                clear(td).append(made);
            } else if (made !== undefined && made !== null && made !== false) {
                say(td, made);
            }
        });
        row.item = item;
        options.row?.(row.tr, item);
    }

    function put(item) {
        const id = key(item);
        let row = rows.get(id);
        if (!row) rows.set(id, row = make(item));
        paint(row, item);
        return id;
    }

    function matches(item) {
        if (test && !test(item)) return false;
        if (!text) return true;
        return columns.some((column) => column.value
            && String(column.value(item) ?? "").toLowerCase().includes(text));
    }

    function arrange() {
        const column = columns.find((one) => one.id === by);
        const shown = [...rows.values()].filter((row) => matches(row.item));
        if (column?.value) {
            shown.sort((a, b) => compare(column.value(a.item), column.value(b.item))
                * (down ? -1 : 1));
        }
        settle(body, shown.map((row) => row.tr));
        heads.forEach((th, place) => {
            const sorted = columns[place].id === by ? (down ? "descending" : "ascending") : null;
            if (sorted) th.setAttribute("aria-sort", sorted);
            else th.removeAttribute("aria-sort");
        });
        nothing.hidden = shown.length > 0;
        node.firstChild.hidden = !shown.length;
    }

    return {
        node,
        rows,
        /** Show these items, and no others. */
        update(items) {
            const kept = new Set(items.map(put));
            for (const id of [...rows.keys()]) if (!kept.has(id)) rows.delete(id);
            arrange();
        },
        /** Show an item that is new or has changed. */
        patch(item) {
            put(item);
            arrange();
        },
        /** An item is no more. */
        drop(id) {
            rows.delete(id);
            arrange();
        },
        /** Show only rows with a text in them, and for which a test is true. */
        filter(wanted, only = null) {
            text = wanted.trim().toLowerCase();
            test = only;
            arrange();
        },
    };
}

/** Compare two values as people would: numbers by size, texts with their numbers, nothing last. */
export function compare(a, b) {
    const none = (value) => value === null || value === undefined || value === "";
    if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
    return typeof a === "number" && typeof b === "number" ? a - b : ORDER.compare(a, b);
}

/** Make a node have just these children in this order, and move as few of them as possible. */
export function settle(parent, children) {
    const wanted = new Set(children);
    for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
    let next = parent.firstElementChild;
    for (const child of children) {
        if (child === next) next = next.nextElementSibling;
        else parent.insertBefore(child, next);
    }
}

function order(text) {
    return text.startsWith("-") ? [text.slice(1), true] : [text, false];
}
