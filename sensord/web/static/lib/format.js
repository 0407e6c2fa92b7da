/**
 * How times, numbers and units read. Times are microseconds since the epoch, as everywhere.
 */

/** How far the gateway's clock is ahead of the browser's, in microseconds. */
let ahead = 0;

/** Learn what time it is at the gateway. */
export function setClock(now) {
    ahead = now - Date.now() * 1000;
}

/** The time at the gateway. */
export function now() {
    return Date.now() * 1000 + ahead;
}

/** "12 s ago"; "never" for null. */
export function ago(when, at = now()) {
    if (when === null || when === undefined) return "never";
    const seconds = (at - when) / 1e6;
    if (seconds < -5) return `in ${span(-seconds)}`;
    return seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** A time span in its largest unit: "12 s", "5 min", "3 h", "2 d". */
export function span(seconds) {
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 100) return `${Math.floor(seconds)} s`;
    if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86_400)} d`;
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

/** A time to read: of today only the clock, else with the day. */
export function time(when) {
    if (when === null || when === undefined) return "never";
    const date = new Date(when / 1000);
    const today = new Date(now() / 1000).toDateString() === date.toDateString();
    return today ? CLOCK.format(date) : `${DAY.format(date)}, ${CLOCK.format(date)}`;
}

/** The whole of a time, for a title or a `datetime` attribute. */
export function stamp(when) {
    return when === null || when === undefined ? "" : new Date(when / 1000).toISOString();
}

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0, useGrouping: true });

/** How many decimals a number is worth: four significant digits, and none that is 0 at the end. */
export function decimals(value) {
    if (typeof value !== "number" || Number.isInteger(value)) return 0;
    const [, fraction = ""] = value.toFixed(most(value)).split(".");
    return fraction.replace(/0+$/, "").length;
}

/**
 * A number with about four significant digits; truth values and texts as they are.
 *
 * `places` is how many decimals others of its series have, so that it does not jump.
 */
export function number(value, places = null) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "boolean") return value ? "on" : "off";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (size >= 1e15 || (size !== 0 && size < 1e-4)) return minus(value.toExponential(2));
    if (size >= 10_000) return thin(value);
    if (places !== null) return minus(value.toFixed(Math.min(places, most(value))));
    if (Number.isInteger(value)) return minus(String(value));
    const text = value.toFixed(most(value));
    return minus(size < 1 ? text.replace(/\.?0+$/, "") : text);
}

function most(value) {
    const size = Math.abs(value);
    return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
}

function minus(text) {
    return text.replace("-", "−");
}

/** A whole count: "12 345". */
export function count(value) {
    return value === null || value === undefined ? "–" : thin(value);
}

/** What stands behind a number: a thin blank and the unit; nothing without one. */
export function unit(text) {
    return text ? `\u202f${text}` : "";
}

/** A name to read: "temperature.18" stays, "boiler_room" becomes "boiler room". */
export function words(name) {
    return name.replaceAll("_", " ");
}

/** "1 device", "3 devices". */
export function plural(n, one, many = `${one}s`) {
    return `${count(n)} ${n === 1 ? one : many}`;
}

function thin(value) {
    return minus(WHOLE.format(value).replaceAll(",", "\u202f"));
}

const ticking = new Set();
let clock = null;

/**
 * Be called each second, together with all others that tell how long ago something was.
 *
 * @return what ends it.
 */
export function tick(f) {
    ticking.add(f);
    clock ??= setInterval(() => {
        if (document.hidden) return;
        const at = now();
        for (const one of [...ticking]) one(at);
    }, 1000);
    return () => {
        ticking.delete(f);
        if (!ticking.size) {
            clearInterval(clock);
            clock = null;
        }
    };
}
