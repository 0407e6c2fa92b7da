/**
 * What became of a command, in words.
 */

import { h } from "../lib/dom.js";
import { stamp, time } from "../lib/format.js";
import { notice, sentence } from "../lib/parts.js";

/** The address that means all devices that are connected. */
export const ALL = "all";

/** What the states are called, and how they look. */
export const STATES = {
    pending: ["Waiting", "asleep"],
    sent: ["Sent", "ok"],
    expired: ["Expired", "warn"],
    refused: ["Refused", "bad"],
};

/** The state of a command, and why it is so. */
export function fate(item) {
    const [label, kind] = STATES[item.state] ?? [item.state, ""];
    const why =
        item.why ||
        (item.state === "pending" && item.expires ? `until ${time(item.expires)}` : "");
    return h(
        "span",
        { class: "two" },
        h("span", { class: `chip ${kind}`, title: stamp(item.changed) }, label),
        why ? h("span", { class: "muted small why" }, why) : null,
    );
}

/** What became of a command that was sent just now. */
export function told(delivery, devices) {
    const name = (item) => devices.get(item.address)?.name || item.address;
    const kinds = { sent: "ok", pending: "warn", expired: "warn", refused: "bad" };
    const says = (item) =>
        ({
            sent: "was sent to the device.",
            pending: item.expires
                ? `waits for the device, until ${time(item.expires)}.`
                : "waits for the device.",
            expired: "has expired.",
            refused: "was refused.",
        })[item.state] ?? item.state;
    const of = `${delivery.variable} = ${exact(delivery.value)}`;
    if (!delivery.parts?.length) {
        const why = delivery.why ? ` ${sentence(delivery.why)}` : "";
        return [notice(kinds[delivery.state] ?? "", `${of} ${says(delivery)}${why}`)];
    }
    const count = delivery.parts.filter((part) => part.state === "sent").length;
    return [
        notice(
            kinds[delivery.state] ?? "",
            h("p", null, `${of}: sent to ${count} of ${delivery.parts.length} devices.`),
            h(
                "ul",
                { class: "parts" },
                delivery.parts.map((part) => h("li", null, name(part), " ", fate(part))),
            ),
        ),
    ];
}

/** A value with all of its digits. */
export function exact(value) {
    return typeof value === "number" ? String(value).replaceAll("-", "−") : String(value);
}
