/**
 * The frame of the page: which view is shown, who is signed in, whether it is live.
 *
 * A view is a module with a `title` and a default function (main, params, app), which fills
 * main and may return a function that is called when it is left. `app` is {me, status, go, toast,
 * signed}. A view that asks for the session anew calls app.signed(me) with the answer.
 */

import { ApiError, get, remove } from "./lib/api.js";
import { clear, h, icon, say } from "./lib/dom.js";
import { setClock } from "./lib/format.js";
import { connect, disconnect, live } from "./lib/live.js";

/** The views in the order of the navigation: its first four fit beneath a phone's page. */
const VIEWS = [
    ["", "devices", "Devices"],
    ["commands", "commands", "Commands"],
    ["listeners", "listeners", "Listeners"],
    ["sinks", "sinks", "Sinks"],
    ["dead-letters", "letters", "Dead letters"],
    ["quarantine", "quarantine", "Quarantine"],
    ["hubs", "hubs", "Hubs"],
];
const MODULES = new Map([
    ...VIEWS.map(([path, module]) => [path, module]),
    ["device", "device"], ["describe", "describe"], ["login", "login"],
]);

/** How many views a phone shows before "More". */
const FIRST = 4;

/** Milliseconds between two questions for the status, and for which a message is shown. */
const [EVERY, SHOWN] = [10_000, 6_000];

const $ = (id) => document.getElementById(id);
const main = $("main");
let leave = null;
let turn = 0;
let wanted = "#/";
let timer = null;

export const app = {
    me: { user: null, role: "viewer", login: false },
    status: null,
    go(hash) {
        if (location.hash === hash) route();
        else location.hash = hash;
    },
    toast,
    signed,
};

/** Somebody is signed in: begin. */
function signed(me) {
    app.me = me;
    $("side").classList.remove("out");
    user();
    connect();
    if (here().name === "login") app.go(wanted);
    else route();
    refresh();  // which does nothing at the login
}

/** Nobody is signed in any more, or not yet. */
function out() {
    if (here().name !== "login") {
        wanted = location.hash || "#/";
        app.me = { user: null, role: "viewer", login: true };
        user();
        app.go("#/login");
    }
    disconnect();
}

function here() {
    const [name = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    return { name, params: rest.map(decode) };
}

function decode(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

async function route() {
    const mine = ++turn;
    const { name, params } = here();
    const module = MODULES.get(name);
    mark(name);
    let view;
    try {
        view = module ? await import(`./views/${module}.js`) : null;
    } catch (error) {
        console.error(error);
        view = broken;
    }
    if (mine !== turn) return;  // another was chosen meanwhile
    left();
    clear(main).className = `view-${module ?? "none"}`;
    const title = view ? view.title : "Not found";
    document.title = `${typeof title === "function" ? title(params) : title} · sensord`;
    try {
        leave = (view ?? lost).default(main, params, app) ?? null;
    } catch (error) {
        console.error(error);
        broken.default(clear(main));
    }
    scrollTo(0, 0);
}

function left() {
    try {
        leave?.();
    } catch (error) {
        console.error(error);
    }
    leave = null;
}

const broken = {
    title: "Error",
    default: (node) => {
        node.append(h("div", { class: "empty" }, "This view cannot be shown. ",
            h("button", { class: "btn", type: "button", onclick: () => location.reload() },
                "Load the page anew")));
    },
};

const lost = {
    default: (node) => {
        node.append(h("div", { class: "empty" }, "There is nothing here. ",
            h("a", { href: "#/" }, "All devices")));
    },
};

/** Fill the navigation. */
function navigation() {
    const links = VIEWS.map(([path, name, label], place) => h("a",
        { href: `#/${path}`, dataset: { path }, class: place < FIRST ? null : "rest" },
        icon(name), h("span", null, label), h("span", { class: "badge", hidden: true })));
    const more = h("button", {
        type: "button", class: "more", "aria-expanded": "false",
        onclick: () => open(!$("nav").classList.contains("open")),
    }, icon("more"), h("span", null, "More"));
    $("nav").append(...links, more);
    $("nav").querySelector("[data-path=hubs]").hidden = true;
    $("nav").addEventListener("keydown", (event) => {
        if (event.key === "Escape") open(false);
    });
    main.addEventListener("pointerdown", () => open(false));
}

function open(yes) {
    $("nav").classList.toggle("open", yes);
    $("nav").querySelector(".more").setAttribute("aria-expanded", yes);
}

/** Show which view this is. */
function mark(name) {
    open(false);
    const of = { device: "", describe: "quarantine" }[name] ?? name;
    for (const link of $("nav").querySelectorAll("a")) {
        if (link.dataset.path === of) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
}

function badge(path, n, kind) {
    const node = $("nav").querySelector(`[data-path="${path}"] .badge`);
    node.hidden = !n;
    node.className = `badge ${kind}`;
    say(node, n > 999 ? "999+" : n);
}

function user() {
    const { user: name, login } = app.me;
    clear($("user")).hidden = !name;
    if (!name) return;
    $("user").append(h("span", null, name, h("span", { class: "muted" }, ` · ${app.me.role}`)));
    if (login) {
        $("user").append(h("button", {
            type: "button", class: "btn quiet", "aria-label": "Sign out", title: "Sign out",
            onclick: async () => {
                disconnect();  // else the gateway would cut it, which the browser takes for a fault
                await remove("session").catch((error) => toast(error.message, "bad"));
                out();
            },
        }, icon("out")));
    }
}

/** Ask how the gateway is. */
async function refresh() {
    clearTimeout(timer);
    if (here().name === "login") return;
    try {
        const status = await get("status");
        app.status = status;
        setClock(status.now);
        badge("dead-letters", status.dead_letters, "warn");
        badge("quarantine", status.quarantine, "warn");
        // Hubs are only of interest where there is a manager.
        $("nav").querySelector("[data-path=hubs]").hidden = !status.hubs;
        say($("version"), `sensord ${status.version}`);
        const why = status.ready ? (status.full ? "More comes in than can be stored." : "")
            : `Nothing can be stored: ${status.why || "the database cannot be used"}.`;
        $("alert").hidden = !why;
        say($("alert"), why);
    } catch (error) {
        if (!(error instanceof ApiError)) console.error(error);
    }
    timer = setTimeout(refresh, document.hidden ? EVERY * 6 : EVERY);
}

/** Tell something in passing. `kind` is "ok", "warn", "bad" or empty. */
function toast(text, kind = "") {
    const node = h("div", { class: `toast ${kind}` }, h("span", null, text), h("button", {
        type: "button", class: "btn quiet", "aria-label": "Close", onclick: () => node.remove(),
    }, icon("close")));
    $("toasts").append(node);
    while ($("toasts").children.length > 4) $("toasts").firstChild.remove();
    setTimeout(() => node.remove(), kind === "bad" ? SHOWN * 2 : SHOWN);
}

function theme() {
    const root = document.documentElement;
    const order = ["auto", "light", "dark"];
    const says = { auto: "as the system", light: "light", dark: "dark" };
    const show = () => {
        const chosen = root.dataset.chosen;
        clear($("theme")).append(icon(chosen));
        $("theme").setAttribute("aria-label", `Colours: ${says[chosen]}. Change`);
        $("theme").title = `Colours: ${says[chosen]}`;
    };
    $("theme").addEventListener("click", () => {
        const next = order[(order.indexOf(root.dataset.chosen) + 1) % order.length];
        root.dispatchEvent(new CustomEvent("choose", { detail: next }));
    });
    root.addEventListener("theme", show);
    show();
}

function link(state) {
    $("link").className = state;
    say($("link"), state === "up" ? "Live" : "Reconnecting…");
}

async function begin() {
    theme();
    navigation();
    document.querySelector(".skip").addEventListener("click", (event) => {
        event.preventDefault();  // what follows a # is a view
        main.focus();
    });
    live("state", link);
    live("reset", refresh);
    addEventListener("sensord:login", out);
    addEventListener("hashchange", route);
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
    try {
        app.signed(await get("session"));
    } catch (error) {
        if (error.status === 401) out();
        else {
            link("down");
            setTimeout(() => location.reload(), EVERY);
        }
        route();
    }
}

begin();
