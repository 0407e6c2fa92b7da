/**
 * All devices: who is there, and what they measure.
 */

import { get } from "../lib/api.js";
import { calmly, clear, h, icon, say } from "../lib/dom.js";
import { now, plural, tick } from "../lib/format.js";
import { live } from "../lib/live.js";
import { compare, settle } from "../lib/table.js";
import { Card, STATES, status } from "./card.js";

export const title = "Devices";

/** Devices whose lines are asked for at a time. */
const BATCH = 50;

/** Milliseconds: between two looks at how things are with and without a reason, and how long
 * lines are good without being fetched again. */
const [SOON, LATER, STALE] = [5_000, 30_000, 600_000];

/** How devices can be sorted: label, and what by. */
const SORTS = {
    name: ["By name", (device) => device.name],
    place: ["By place", (device) => device.tags.place ?? ""],
    state: ["Worst first", (device) => -worth(device)],
    heard: ["Last heard first", (device) => (device.heard === null ? null : -device.heard)],
    rssi: ["Weakest signal first", (device) => device.rssi],
    missed: ["Most missed first", (device) => -device.missed],
};

/** What was chosen and where one was, for when one comes back. */
const kept = { text: "", only: "all", sort: "name", scroll: 0, devices: null };

export default function view(main) {
    const cards = new Map();
    const named = new Map();
    const list = h("ul", { class: "devices grid", "aria-label": "Devices" });
    const nothing = h("div", { class: "empty", hidden: true });
    const total = h("p", { class: "muted", role: "status" });
    const choice = h("div", { class: "choice", role: "group", "aria-label": "Show only" });
    const search = h("input", {
        type: "search", placeholder: "Find …", value: kept.text,
        "aria-label": "Find devices", autocomplete: "off", spellcheck: "false",
        oninput: () => { kept.text = search.value; arrange(); },
    });
    const sort = h("select", {
        "aria-label": "Sort by", value: kept.sort, class: "sorts",
        onchange: () => { kept.sort = sort.value; arrange(); },
    }, Object.entries(SORTS).map(([id, [label]]) => h("option", { value: id }, label)));
    main.append(
        h("div", { class: "head" }, h("h1", null, "Devices"), total),
        h("div", { class: "toolbar" },
            h("div", { class: "search" }, icon("search"), search), choice, sort),
        list, nothing);

    const wishes = new Set();
    let over = false;
    let timer = null;
    let took = 0;

    const seen = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries) {
            const { card } = target;
            card.visible = isIntersecting;
            if (!isIntersecting) continue;
            card.flush();
            card.tick();
            card.draw();
            if (performance.now() - card.loaded > STALE || !card.loaded) wish(card);
        }
    }, { rootMargin: "300px" });

    function wish(card) {
        wishes.add(card);
        fetchLines();
    }

    const fetchLines = calmly(60, async () => {
        const some = [...wishes].filter((card) => card.visible).slice(0, BATCH);
        for (const card of some) wishes.delete(card);
        if (!some.length) return;
        try {
            const device = some.map((card) => card.device.address);
            const { devices } = await get("sparklines", { device });
            for (const card of some) {
                card.loaded = performance.now();
                card.history(devices[card.device.address] ?? devices[card.device.name] ?? {});
            }
        } catch {
            return;  // they are tried again when they are next seen
        }
        if (wishes.size && !over) fetchLines();
    });

    function put(device) {
        let card = cards.get(device.address);
        if (card) {
            card.update(device);
        } else {
            cards.set(device.address, card = new Card(device));
            card.wish = () => { card.loaded = 0; wish(card); };
            seen.observe(card.node);
        }
    }

    function show(devices) {
        if (over) return;
        const there = new Set(devices.map((one) => one.address));
        for (const [address, card] of cards) {
            if (!there.has(address)) {
                seen.unobserve(card.node);
                cards.delete(address);
            }
        }
        devices.forEach(put);
        named.clear();
        for (const card of cards.values()) {
            const { name } = card.device;
            named.set(name, [...(named.get(name) ?? []), card]);
        }
        arrange();
    }

    function fits(card) {
        const { only } = kept;
        if (only !== "all" && card.device.state !== only && card.status !== only) return false;
        const words = kept.text.trim().toLowerCase().split(/\s+/);
        const { text } = card;
        return words.every((word) => text.includes(word));
    }

    function arrange() {
        const [, by] = SORTS[kept.sort];
        const shown = [...cards.values()].filter(fits).sort((a, b) =>
            compare(by(a.device), by(b.device)) || compare(a.device.name, b.device.name));
        settle(list, shown.map((card) => card.node));
        nothing.hidden = shown.length > 0;
        if (!shown.length) clear(nothing).append(...why());
        say(total, shown.length === cards.size ? plural(cards.size, "device")
            : `${shown.length} of ${plural(cards.size, "device")}`);
        choices();
    }

    function why() {
        if (cards.size) {
            return [h("p", null, "No device is like that. "), h("button", {
                type: "button", class: "btn", onclick: () => {
                    Object.assign(kept, { text: "", only: "all" });
                    search.value = "";
                    arrange();
                    search.focus();
                },
            }, "Show all")];
        }
        return [h("p", null, "No device has been heard yet. Where they can send to: "),
            h("a", { href: "#/listeners" }, "Listeners")];
    }

    /** Offer what there is to choose. */
    function choices() {
        const counts = new Map([["all", cards.size]]);
        for (const card of cards.values()) {
            for (const one of [card.device.state, card.status]) {
                counts.set(one, (counts.get(one) ?? 0) + 1);
            }
        }
        for (const one of ["all", ...STATES, "warning", "critical"]) {
            let button = choice.querySelector(`[data-only=${one}]`);
            if (!button) {
                button = h("button", {
                    type: "button", dataset: { only: one },
                    onclick: () => { kept.only = one; arrange(); },
                }, one[0].toUpperCase() + one.slice(1), h("b"));
                choice.append(button);
            }
            button.hidden = !counts.has(one) && kept.only !== one && one !== "all";
            button.setAttribute("aria-pressed", kept.only === one);
            say(button.lastChild, counts.get(one) ?? 0);
        }
    }

    /** Ask how all devices are. */
    async function load() {
        clearTimeout(timer);
        const began = performance.now();
        try {
            kept.devices = await get("devices");
            show(kept.devices);
        } catch (error) {
            if (!cards.size && !over) {
                nothing.hidden = false;
                say(nothing, `The devices cannot be shown: ${error.message}.`);
            }
        }
        took = performance.now() - began;
        clearTimeout(timer);
        if (!over) timer = setTimeout(load, document.hidden ? LATER * 4 : LATER);
    }

    // A status follows from thresholds, which only the gateway knows: it is asked when a value
    // with a status has changed, but never keeps busy with that.
    const look = calmly(SOON, () => {
        if (!over && !document.hidden && took < SOON / 10) load();
    });

    const calls = [
        live("readings", (readings) => {
            const at = now();
            const touched = new Set();
            for (const reading of readings) {
                const those = named.get(reading.device);
                if (!those) {
                    look();
                    continue;
                }
                for (const card of those) {
                    if (!card.take(reading, at)) look();
                    touched.add(card);
                }
            }
            for (const card of touched) {
                card.flush();
                if (card.status !== "undefined") look();
                card.moved = true;
            }
        }),
        live("devices", (changes) => {
            for (const { address, state, heard } of changes) {
                const card = cards.get(address);
                if (!card) {
                    look();
                    continue;
                }
                Object.assign(card.device, { state, heard: heard ?? card.device.heard });
                card.states();
            }
            arrange();
        }),
        live("reset", load),
        tick((at) => {
            for (const card of cards.values()) {
                if (!card.visible) continue;
                card.tick(at);
                if (card.moved || Math.floor(at / 1e6) % 15 === 0) card.draw();
                card.moved = false;
            }
        }),
    ];

    const back = () => document.hidden || look();  // statuses are not asked for meanwhile
    document.addEventListener("visibilitychange", back);
    calls.push(() => document.removeEventListener("visibilitychange", back));

    if (kept.devices) {
        show(kept.devices);
        requestAnimationFrame(() => scrollTo(0, kept.scroll));
    }
    load();

    return () => {
        over = true;
        kept.scroll = scrollY;
        clearTimeout(timer);
        look.stop();
        fetchLines.stop();
        seen.disconnect();
        calls.forEach((off) => off());
    };
}

/** How bad things are with a device. */
function worth(device) {
    return STATES.indexOf(device.state) * 2 + { warning: 5, critical: 10 }[status(device)] || 0;
}
