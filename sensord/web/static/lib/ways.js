/**
 * What comes in by, and what goes out by: a card for each, asked for again and again.
 */

import { get } from "./api.js";
import { h } from "./dom.js";
import { head, poll, running } from "./parts.js";
import { settle } from "./table.js";

/** Milliseconds between two questions. */
export const EVERY = 2_000;

/**
 * Fill a view with cards.
 *
 * @param what what is asked for, and how the view is called and explained; `none` is said if there
 *     are none, and `make(asking)` makes a card: `{ node, show(one) }`.
 * @return ends it.
 */
export function ways(main, { path, title, about, none, make }) {
    const cards = new Map();
    const box = h("div");
    const grid = h("div", { class: "grid wide" });
    const empty = h("div", { class: "empty", hidden: true }, none);
    main.append(head(title, about), box, grid, empty);

    const asking = poll(
        EVERY,
        (signal) => get(path, null, { signal }),
        (all) => {
            const names = new Set(all.map((one) => one.name));
            for (const name of [...cards.keys()]) if (!names.has(name)) cards.delete(name);
            for (const one of all) {
                if (!cards.has(one.name)) cards.set(one.name, make(() => asking.now()));
                cards.get(one.name).show(one);
            }
            settle(
                grid,
                all.map((one) => cards.get(one.name).node),
            );
            empty.hidden = all.length > 0;
        },
        box,
    );
    const rest = running(main);
    return () => {
        asking.stop();
        rest();
    };
}
