/**
 * How the bytes of a frame read, and what a first description of its device may be.
 */

import { h } from "./dom.js";

/** Bytes that are shown before the rest has to be asked for. */
const SHOWN = 48;

/** Bytes of the head of an ESP8266's packet, and where in it sizes stand. */
const [HEAD, SIZE, SENSORS] = [9, 6, 8];

/** The types of values that a description can have, by what people would call them. */
export const TYPES = [
    ["b", "int8"],
    ["B", "uint8"],
    ["h", "int16"],
    ["H", "uint16"],
    ["i", "int32"],
    ["I", "uint32"],
    ["l", "int32 (long)"],
    ["L", "uint32 (long)"],
    ["q", "int64"],
    ["Q", "uint64"],
    ["f", "float32"],
    ["d", "float64"],
    ["?", "bool"],
];

/** What the stock ESP8266 device measures. */
const STOCK = [
    { name: "light", type: "H", unit: "lx" },
    { name: "humidity", type: "H", scale: 125 / 65536, offset: -6, unit: "%" },
    { name: "temperature", type: "H", scale: 175.72 / 65536, offset: -46.85, unit: "°C" },
];

/** The bytes that some hex stands for. */
export function bytes(hex) {
    const found = hex.match(/../g) ?? [];
    return found.map((pair) => parseInt(pair, 16));
}

/** The text that a frame is, if it is one; else nothing. */
export function text(hex) {
    const all = bytes(hex);
    const readable = (byte) =>
        (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13;
    return all.length && all.every(readable) ? String.fromCharCode(...all).trim() : "";
}

/** The bytes of a frame, to read; a long one can be opened. */
export function dump(hex) {
    const pairs = hex.match(/../g) ?? [];
    const said = text(hex);
    const all = h("code", { class: "hex" }, pairs.slice(0, SHOWN).join(" "));
    const node = h("span", { class: "frame" }, said ? h("q", { class: "said" }, said) : null, all);
    if (pairs.length > SHOWN) {
        node.append(
            h(
                "button",
                {
                    type: "button",
                    class: "link small",
                    onclick: (event) => {
                        all.textContent = pairs.join(" ");
                        event.target.remove();
                    },
                },
                `and ${pairs.length - SHOWN} bytes more`,
            ),
        );
    } else if (!pairs.length) {
        node.append(h("span", { class: "muted" }, "empty"));
    }
    return node;
}

/**
 * The values that a frame seems to have, as a start.
 *
 * @param known.wire the format.
 * @param known.types how values can be packed there; none where they are not.
 * @param hex the frame.
 */
export function guess({ wire, types }, hex) {
    const all = bytes(hex);
    if (wire === "esp8266" && all.length > HEAD) {
        const [size, sensors] = [all[SIZE], all[SENSORS]];
        if (size === 6 && sensors === 3) return STOCK.map((value) => ({ ...value }));
        const each = sensors ? size / sensors : 0;
        const type = { 1: "B", 2: "H", 4: "f" }[each];
        return type ? several(sensors, type) : several(1, "H");
    }
    if (wire === "rfm2pi") return radio(hex);
    return several(1, types.includes("h") ? "h" : "");
}

/** The values of a radio node: numbers of two bytes, and one of what is left over. */
function radio(hex) {
    const numbers = text(hex)
        .replace(/^OK\s+/, "")
        .replace(/\(.*\)\s*$/, "")
        .replace(/^G\s?\d+\s+/, "")
        .trim()
        .split(/\s+/);
    const count = numbers.length - 1;
    if (count < 1) return several(1, "h");
    const values = several(Math.ceil(count / 2), "h");
    if (count % 2) values.at(-1).type = "B";
    return values;
}

function several(count, type) {
    return Array.from({ length: count }, (_, place) => ({ name: `value${place + 1}`, type }));
}
