/**
 * What the newest frames of a device would be by a description, while it is written.
 */

import { h } from "../lib/dom.js";
import { number, unit } from "../lib/format.js";
import { dump } from "../lib/frame.js";
import { notice, sentence, when } from "../lib/parts.js";

/**
 * Show it.
 *
 * @param answer.faults what is wrong with the description.
 * @param answer.frames the newest frames: {id, time, data, why, readings}.
 */
export function shown({ faults, frames }) {
    const made = [];
    if (faults.length) {
        made.push(
            h(
                "div",
                { class: "notice bad", role: "status" },
                h("p", null, faults.length === 1 ? "There is a fault:" : "There are faults:"),
                h(
                    "ul",
                    null,
                    faults.map((fault) => h("li", null, fault)),
                ),
            ),
        );
    }
    if (!frames.length) {
        made.push(
            h(
                "div",
                { class: "empty small" },
                "No frame of this device is in quarantine, so that there is nothing to try it on.",
            ),
        );
        return made;
    }
    const [newest] = frames;
    made.push(
        h(
            "section",
            { class: "newest stack tight", "aria-label": "The newest frame" },
            h(
                "div",
                { class: "row" },
                h("h3", null, "Newest frame"),
                h("span", { class: "muted small" }, when(newest.time)),
            ),
            dump(newest.data),
            newest.readings.length
                ? h("dl", { class: "tiles" }, last(newest.readings).map(tile))
                : null,
            newest.why && !faults.length ? notice("warn", sentence(newest.why)) : null,
        ),
    );
    if (faults.length) return made;
    if (frames.length > 1 || newest.readings.length > last(newest.readings).length)
        made.push(
            h(
                "section",
                { class: "stack tight" },
                h("h3", null, "The newest frames"),
                all(frames),
            ),
        );
    return made;
}

/** The same in one line, for those who see the form only. */
export function strip({ faults, frames }) {
    if (faults.length) return [h("span", { class: "fault" }, faults[0])];
    const [newest] = frames;
    if (newest?.why) return [h("span", { class: "fault" }, newest.why)];
    return last(newest?.readings ?? []).map(({ name, value, unit: of }) =>
        h(
            "span",
            null,
            h("span", { class: "muted" }, `${name} `),
            h("b", null, number(value)),
            unit(of),
        ),
    );
}

function tile({ name, value, unit: of }) {
    return h(
        "div",
        null,
        h("dt", null, name),
        h("dd", { dataset: { name } }, number(value), h("span", { class: "muted" }, unit(of))),
    );
}

/** The last measurement of a frame that may have several. */
function last(readings) {
    return [...new Map(readings.map((reading) => [reading.name, reading])).values()];
}

/** All frames, a row for each measurement. */
function all(frames) {
    const names = [
        ...new Set(frames.flatMap((frame) => frame.readings.map((reading) => reading.name))),
    ];
    const units = new Map(
        frames.flatMap((frame) => frame.readings).map(({ name, unit: of }) => [name, of]),
    );
    return h(
        "div",
        { class: "table scroll", tabindex: "0", role: "region", "aria-label": "All frames" },
        h(
            "table",
            null,
            h("caption", { class: "hidden" }, "The newest frames, as this description reads them"),
            h(
                "thead",
                null,
                h(
                    "tr",
                    null,
                    h("th", { scope: "col" }, "When"),
                    names.map((name) =>
                        h(
                            "th",
                            { scope: "col", class: "num" },
                            name,
                            h("small", null, units.get(name) ?? ""),
                        ),
                    ),
                ),
            ),
            h(
                "tbody",
                null,
                frames.flatMap((frame) => rows(frame, names)),
            ),
        ),
    );
}

function rows(frame, names) {
    const measurements = [];
    for (const { name, value } of frame.readings) {
        if (!measurements.length || measurements.at(-1).has(name)) measurements.push(new Map());
        measurements.at(-1).set(name, value);
    }
    if (!measurements.length) {
        return [
            h(
                "tr",
                null,
                h("td", null, when(frame.time)),
                h(
                    "td",
                    { colspan: Math.max(1, names.length), class: "small why" },
                    frame.why || "–",
                ),
            ),
        ];
    }
    return measurements.reverse().map((values, place) =>
        h(
            "tr",
            null,
            h("td", null, place ? "" : when(frame.time)),
            names.map((name) => h("td", { class: "num" }, number(values.get(name)))),
        ),
    );
}
