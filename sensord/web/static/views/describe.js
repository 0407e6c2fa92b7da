/**
 * Describing a device: who it is, and what its values mean, with a look at what its frames in
 * quarantine would be.
 */

import { get, post } from "../lib/api.js";
import { h, icon } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { guess } from "../lib/frame.js";
import { doing, head, notice, operates, running, sentence, unique } from "../lib/parts.js";
import { shown, strip } from "./preview.js";
import { tags, values } from "./values.js";

export const title = (params) => `Describe ${params.join("/")}`;

/** Milliseconds without a key after which it is tried, and until it is tried on what came since. */
const [CALM, AGAIN] = [250, 15_000];

/** The formats whose values are told apart by their order alone. */
const ORDERED = new Set(["esp8266", "rfm2pi"]);

/** What the wire calls a value, for example. */
const HINTS = {
    lines: "place: 1",
    serial: "place: 1",
    websocket: "column",
    poe: "temperature.18",
};

/** What somebody had begun to write when the view was left, by address. */
const drafts = new Map();

export default function view(main, params, app) {
    const address = params.join("/");
    const box = h("div", { class: "stack" });
    main.append(
        head(
            `Describe ${address}`,
            "Who sends this, and what its values mean. Nothing is changed until it is saved.",
            h("a", { class: "btn", href: "#/quarantine" }, icon("back"), "Quarantine"),
        ),
        box,
    );
    if (!operates(app)) {
        box.append(h("div", { class: "empty" }, "Only operators can describe devices."));
        return null;
    }
    const control = new AbortController();
    const leaving = [() => control.abort(), running(main)];
    begin(address, control.signal)
        .then(([known, some]) => {
            if (control.signal.aborted) return;
            leaving.push(editor(box, known, some, app));
        })
        .catch((error) => {
            if (!control.signal.aborted) box.append(notice("bad", sentence(error.message)));
        });
    return () => leaving.forEach((leave) => leave());
}

/** What is described now, and the values to begin with. */
async function begin(address, signal) {
    const known = await get("devices/description", { address }, { signal });
    if (known.values.length) return [known, known.values];
    const { frames } = await post("devices/preview", plain(known.address, known), { signal });
    if (frames.length) return [known, guess(known, frames[0].data)];
    const devices = await get("devices", null, { signal });
    return [
        known,
        measured(
            known,
            devices.find((one) => one.address === known.address),
        ),
    ];
}

/** The values of a device that was heard without a description, as the wire calls them. */
function measured(known, device) {
    const names = (device?.values ?? []).filter(({ name }) => name !== "rssi");
    if (!ORDERED.has(known.wire))
        return names.map(({ name, unit }) => ({ name, field: name, unit }));
    // What a node sends that nobody has described is taken for numbers of two bytes.
    return known.wire === "rfm2pi" ? names.map(({ name }) => ({ name, type: "h" })) : [];
}

function plain(
    address,
    { name = "", tags: said = {}, values: list = [], whitening = false, interval = 0 },
) {
    return { address, name, tags: said, values: list, whitening, interval };
}

/** The form, and what it comes to. */
function editor(box, known, some, app) {
    const { address } = known;
    const start = { ...plain(address, known), values: some };
    let dirty = false;
    let timer = null;
    let turn = 0;
    let seen = "";

    const name = h("input", {
        placeholder: "balcony",
        maxlength: 200,
        autocomplete: "off",
        oninput: changed,
    });
    const label = tags(changed);
    const list = values(
        {
            types: known.types,
            fields: !ORDERED.has(known.wire),
            hint: HINTS[known.wire] ?? "as the name",
        },
        changed,
    );
    const white = h("input", { type: "checkbox", onchange: changed });
    const interval = h("input", {
        type: "number",
        min: 0,
        step: "any",
        inputmode: "decimal",
        placeholder: "learned",
        oninput: changed,
    });
    const save = h(
        "button",
        { type: "submit", class: "btn primary", disabled: known.why !== "" },
        icon("check"),
        "Save",
    );
    const told = h("div", { class: "stack tight", "aria-live": "polite" });
    const look = h("div", { class: "stack" });
    const brief = h("div", { class: "strip", "aria-hidden": "true" });
    const heading = unique("preview");

    const more = h(
        "details",
        null,
        h("summary", null, "More"),
        h(
            "div",
            { class: "stack" },
            label.node,
            h(
                "label",
                { class: "field narrow" },
                h("span", null, "Seconds between what it sends"),
                interval,
            ),
            known.wire === "rfm2pi"
                ? h(
                      "label",
                      { class: "row check" },
                      white,
                      "Whitening: each byte is XORed with 0x55",
                  )
                : null,
        ),
    );
    const form = h(
        "form",
        { class: "stack", "aria-label": "Description", onsubmit: submit },
        h(
            "section",
            { class: "card stack" },
            h(
                "div",
                { class: "row" },
                h("h2", null, "The device"),
                h("span", { class: "chip" }, known.wire || "unknown wire"),
                known.file ? h("span", { class: "chip" }, known.file) : null,
            ),
            h(
                "div",
                { class: "pair" },
                h("label", { class: "field" }, h("span", null, "Name"), name),
                label.place,
            ),
            more,
        ),
        h(
            "section",
            { class: "card stack" },
            h("h2", null, "Its values"),
            h(
                "p",
                { class: "muted small" },
                ORDERED.has(known.wire)
                    ? "In the order of the frame. Each becomes raw × scale + offset."
                    : "Others keep their names. Each becomes raw × scale + offset.",
            ),
            list.node,
        ),
        told,
        h(
            "div",
            { class: "row end sticky" },
            brief,
            h(
                "button",
                { type: "button", class: "btn", onclick: () => again(start) },
                "Undo changes",
            ),
            save,
        ),
    );

    box.append(
        known.why
            ? notice("warn", `${sentence(known.why)} Here it can be tried, and not saved.`)
            : "",
        h(
            "div",
            { class: "describe" },
            form,
            h(
                "aside",
                { class: "card stack", "aria-labelledby": heading },
                h("h2", { id: heading }, "Preview"),
                look,
            ),
        ),
    );

    const draft = drafts.get(address);
    drafts.delete(address);
    fill(draft ?? start);
    if (draft) {
        dirty = true;
        told.append(notice("", "What you had begun is here again."));
    }
    attempt();

    function fill(body) {
        name.value = body.name;
        label.fill(body.tags);
        list.fill(body.values);
        white.checked = body.whitening;
        interval.value = body.interval || "";
        const rare = Object.keys(body.tags).some((key) => key !== "place");
        more.open = rare || body.whitening || body.interval > 0;
    }

    function again(body) {
        fill(body);
        told.replaceChildren();
        dirty = false;
        attempt();
    }

    function body() {
        const said = list.read();
        return (
            said &&
            plain(address, {
                name: name.value.trim(),
                tags: label.read(),
                values: said,
                whitening: white.checked,
                interval: interval.valueAsNumber || 0,
            })
        );
    }

    function changed() {
        dirty = true;
        clearTimeout(timer);
        timer = setTimeout(attempt, CALM);
    }

    /** Try it on the frames. */
    async function attempt() {
        clearTimeout(timer);
        const mine = ++turn;
        const wanted = body();
        let answer;
        try {
            answer = wanted
                ? await post("devices/preview", wanted)
                : { faults: ["a scale or an offset is no number"], frames: [] };
        } catch (error) {
            answer = { faults: [error.message], frames: [] };
        }
        if (mine !== turn) return;
        timer = setTimeout(attempt, AGAIN);
        const text = JSON.stringify(answer);
        if (text === seen) return; // nothing is read out twice
        seen = text;
        look.replaceChildren(...shown(answer));
        brief.replaceChildren(...strip(answer));
    }

    async function submit(event) {
        event.preventDefault();
        const wanted = body();
        if (!wanted) {
            attempt();
            return;
        }
        await doing(save, app, async () => {
            try {
                const done = await post("devices/describe", wanted);
                dirty = false;
                Object.assign(start, wanted);
                told.replaceChildren(...saved(done, address));
                attempt();
            } catch (error) {
                told.replaceChildren(notice("bad", sentence(error.message)));
            }
        });
    }

    return () => {
        turn++;
        clearTimeout(timer);
        const begun = dirty ? body() : null;
        if (begun) drafts.set(address, begun);
    };
}

/** What came of it. */
function saved({ file, resolved, readings, left }, address) {
    const reasons = [...new Set(Object.values(left))];
    const count = Object.keys(left).length;
    const made = [
        notice(
            "ok",
            h(
                "p",
                null,
                `Saved in ${file}. `,
                resolved
                    ? `${plural(resolved, "frame")} became ${plural(readings, "reading")}. `
                    : "",
                h("a", { href: `#/device/${encodeURIComponent(address)}` }, "Look at the device"),
            ),
        ),
    ];
    if (count) {
        made.push(
            notice(
                "warn",
                h(
                    "p",
                    null,
                    `${plural(count, "frame")} ${count === 1 ? "is" : "are"} still in quarantine:`,
                ),
                h(
                    "ul",
                    null,
                    reasons.map((why) => h("li", null, why)),
                ),
            ),
        );
    }
    return made;
}
