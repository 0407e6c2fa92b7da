/**
 * What happens, as it happens: one stream of events for the whole page.
 *
 * `live("readings", f)` calls f with a list; so do "devices" and "commands". "reset" says that
 * something may have been missed: load anew. "state" is called with "up" or "down". All return what
 * ends them. Events are gathered and handed out once per frame, so that a thousand a second
 * cost no more than sixty.
 */

import { address } from "./api.js";

const KINDS = ["readings", "devices", "commands"];

/** Items that wait at most while the page is not seen: a page in the background gets no frames. */
const MOST = 20_000;

/** Milliseconds between two attempts, if the browser itself makes none. */
const [SOON, LATE] = [1_000, 30_000];

const followers = new Map([...KINDS, "reset", "state"].map((kind) => [kind, new Set()]));
const waiting = new Map();
let source = null;
let state = "down";
let pause = SOON;
let timer = null;
let frame = 0;
let reset = false;
let wasUp = false;

/** Follow a kind of event. */
export function live(kind, f) {
    followers.get(kind).add(f);
    return () => followers.get(kind).delete(f);
}

/** "up" or "down". */
export function current() {
    return state;
}

/** Begin to listen; once there is a session, if one is needed. */
export function connect() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(address("events"));
    source.onopen = () => {
        pause = SOON;
        become("up");
    };
    source.onerror = () => {
        become("down");
        if (source.readyState !== EventSource.CLOSED) return;  // the browser tries by itself
        timer = setTimeout(connect, pause);
        pause = Math.min(pause * 2, LATE);
        // A new source does not say where the old one was.
        reset ||= wasUp;
    };
    source.addEventListener("reset", () => later(() => { reset = true; }));
    for (const kind of KINDS) {
        source.addEventListener(kind, (event) => {
            let items;
            try {
                items = JSON.parse(event.data);
            } catch {
                return;
            }
            later(() => keep(kind, items));
        });
    }
}

/** Stop listening. */
export function disconnect() {
    clearTimeout(timer);
    source?.close();
    source = null;
    become("down");
}

function keep(kind, items) {
    const held = waiting.get(kind) ?? [];
    waiting.set(kind, held);
    for (const item of items) held.push(item);
    if (held.length > MOST) {
        waiting.delete(kind);
        reset = true;
    }
}

function later(f) {
    f();
    frame ||= requestAnimationFrame(hand);
}

function hand() {
    frame = 0;
    if (reset) {
        reset = false;
        tell("reset");
    }
    for (const kind of KINDS) {
        const items = waiting.get(kind);
        if (items) {
            waiting.delete(kind);
            tell(kind, items);
        }
    }
}

function become(now) {
    if (now === state) return;
    state = now;
    if (now === "up") {
        if (reset) later(() => {});
        wasUp = true;
    }
    tell("state", now);
}

function tell(kind, what) {
    for (const f of [...followers.get(kind)]) {
        try {
            f(what);
        } catch (error) {
            console.error(error);  // one view's mistake is not to stop the others
        }
    }
}
