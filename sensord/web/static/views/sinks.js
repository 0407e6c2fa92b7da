/**
 * Sinks: the ways out, with what waits for each and what went wrong; pause and resume.
 */

import { post } from "../lib/api.js";
import { h, say } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { confirm, doing, operates, sentence, set, when } from "../lib/parts.js";
import { ways } from "../lib/ways.js";

export const title = "Sinks";

/** What the states mean: a word, how it looks, and what it says. */
const STATES = {
    flowing: ["Flowing", "ok", ""],
    retrying: ["Retrying", "warn", "It is tried again by itself; what comes meanwhile waits."],
    misconfigured: [
        "Misconfigured",
        "bad",
        "Somebody has to put its settings right; what comes meanwhile waits.",
    ],
    paused: ["Paused", "asleep", "What comes meanwhile waits for it."],
    held: ["Held", "asleep", "Its settings say that it is not to send."],
    gone: [
        "Gone",
        "bad",
        "It is not in the configuration any more, but keeps its place in the journal: " +
            "readings that it has not had are not removed.",
    ],
};

/** What the ledger has of one: a key of the answer, and a word. */
const FIGURES = [
    ["committed", "Committed"],
    ["delivered", "Delivered"],
    ["dead", "Dead letters"],
    ["expired", "Expired"],
];

export default function view(main, params, app) {
    return ways(main, {
        path: "sinks",
        title,
        about: "The ways out. None waits for another, and what is not taken waits here.",
        none: "There are no sinks: readings are stored here, and passed on to nobody.",
        make: (changed) => card(app, changed),
    });
}

/** One sink. */
function card(app, changed) {
    const name = h("h2");
    const kind = h("span", { class: "chip" });
    const chip = h("span", { class: "chip" });
    const what = h("p", { class: "muted small" });
    const error = h("p", { class: "notice bad small" });
    const backlog = h("b");
    const since = when(null);
    const oldest = h("span", { class: "muted small" }, "oldest ", since);
    const numbers = FIGURES.map(([key]) => h("dd", { dataset: { key } }));
    const button = h("button", { type: "button", class: "btn", onclick: toggle });
    let item = null;

    const node = h(
        "article",
        { class: "card way" },
        h("div", { class: "row" }, name, kind, h("span", { class: "fill" }), chip),
        what,
        error,
        h(
            "dl",
            { class: "figures one" },
            h("div", null, h("dt", null, "Backlog"), h("dd", null, backlog, " ", oldest)),
        ),
        h(
            "dl",
            { class: "legend" },
            FIGURES.map(([, label], place) =>
                h("div", null, h("dt", null, label), numbers[place]),
            ),
        ),
        operates(app) ? h("div", { class: "row end" }, button) : null,
    );

    function show(one) {
        item = one;
        say(name, one.name);
        say(kind, one.kind).hidden = !one.kind;
        const [label, look, why] = STATES[one.state] ?? [one.state, "", ""];
        say(chip, label).className = `chip ${look}`;
        say(what, why).hidden = !why;
        say(error, one.error ? sentence(one.error) : "").hidden = !one.error;
        say(backlog, count(one.backlog));
        set(since, one.oldest);
        oldest.hidden = one.oldest === null;
        FIGURES.forEach(([key], place) => figure(key, numbers[place], one));
        const [verb, style] = does(one.state);
        say(button, verb).className = `btn ${style}`;
        button.setAttribute("aria-label", `${verb} ${one.name}`);
    }

    async function toggle() {
        const [verb, , act] = does(item.state);
        if (
            act === "forget" &&
            !(await confirm({
                title: `Forget ${item.name}?`,
                text:
                    `${count(item.backlog)} readings that it has not had are given up, ` +
                    `and ${count(item.dead)} dead letters. If it comes back, it begins anew.`,
                verb,
                danger: true,
            }))
        )
            return;
        await doing(button, app, async () => {
            const now = await post(`sinks/${encodeURIComponent(item.name)}/${act}`);
            if (act !== "forget") show(now);
            app.toast(`${item.name} is ${DONE[act]}.`, "ok");
            changed();
        });
    }

    return { node, show };
}

const DONE = { pause: "paused", resume: "resumed", forget: "forgotten" };

/** What can be done with one: a verb, how the button looks, and what the gateway calls it. */
function does(state) {
    if (state === "gone") return ["Forget", "danger", "forget"];
    return state === "paused" ? ["Resume", "primary", "resume"] : ["Pause", "", "pause"];
}

function figure(key, dd, one) {
    const text = count(one[key]);
    if (key === "dead" && one.dead) {
        const href = `#/dead-letters/${encodeURIComponent(one.name)}`;
        const link = dd.querySelector("a") ?? h("a", { href });
        if (!link.parentNode) dd.replaceChildren(link);
        say(link, text);
    } else if (key === "expired" && one.dropped) {
        say(dd, `${text} (${count(one.dropped)} dropped)`);
    } else {
        say(dd, text);
    }
}
