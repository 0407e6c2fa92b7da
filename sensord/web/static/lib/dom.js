/**
 * Making elements. Whatever is put into one is text: nothing that a device says becomes markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * Of the properties, `class`, `dataset` and `style` (both objects) and `onclick` and the like are
 * what one would think; `true` makes an attribute without a value; those that are false, null or
 * undefined are left out; `value`, `checked`, `disabled` and `selected` are set on the element.
 * Of the children, lists are flattened, and null, undefined and false are left out.
 */
export function h(tag, props, ...children) {
    return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
    return fill(document.createElementNS(SVG, tag), props, children);
}

/** Remove all that is in a node, and return it. */
export function clear(node) {
    node.replaceChildren();
    return node;
}

/** Set the text of a node, if it is another: browsers do not look whether it is the same. */
export function say(node, text) {
    const said = String(text ?? "");
    if (node.textContent !== said) node.textContent = said;
    return node;
}

/** An icon by its name; for decoration only. */
export function icon(name) {
    const paths = (ICONS[name] ?? ICONS.dot).map((d) => s("path", { d }));
    return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, paths);
}

/** A function that runs at most once per so many milliseconds, the last time after the last call. */
export function calmly(ms, f) {
    let timer = null;
    let last = -Infinity;
    const run = () => {
        timer = null;
        last = performance.now();
        f();
    };
    const calm = () => {
        timer ??= setTimeout(run, Math.max(0, last + ms - performance.now()));
    };
    calm.stop = () => {
        clearTimeout(timer);
        timer = null;
    };
    return calm;
}

const LIVE = new Set(["value", "checked", "disabled", "selected", "indeterminate"]);

function fill(node, props, children) {
    for (const [name, value] of Object.entries(props ?? {})) {
        if (name.startsWith("on") && typeof value === "function") {
            node.addEventListener(name.slice(2), value);
        } else if (name === "dataset") {
            Object.assign(node.dataset, value);
        } else if (name === "style") {
            for (const [key, set] of Object.entries(value)) node.style.setProperty(key, set);
        } else if (LIVE.has(name)) {
            if (value !== undefined && value !== null) node[name] = value;
        } else if (value === true) {
            node.setAttribute(name, "");
        } else if (value !== false && value !== null && value !== undefined) {
            node.setAttribute(name, value);
        }
    }
    for (const child of children.flat(Infinity)) {
        if (child !== null && child !== undefined && child !== false) node.append(child);
    }
    // An option can only be chosen once it is there.
    if (node.localName === "select" && props?.value !== undefined) node.value = props.value;
    return node;
}

const ICONS = {
    dot: ["M12 12h.01"],
    devices: ["M4 15a8 8 0 0 1 16 0", "M8 15a4 4 0 0 1 8 0", "M12 15v5", "M8 20h8"],
    commands: ["M4 12 20 4l-5 16-3.5-6.5z", "m11.5 13.5 3.5-3.5"],
    listeners: ["M12 4v10", "m7.5 10 4.5 4.5L16.5 10", "M4 15v4h16v-4"],
    sinks: ["M12 15V4", "M7.5 8.5 12 4l4.5 4.5", "M4 15v4h16v-4"],
    letters: ["M4 6h16v12H4z", "m4 7 8 6 8-6"],
    quarantine: ["M12 3.5 19.5 6v6c0 4.5-3.5 7.5-7.5 8.5C8 19.5 4.5 16.5 4.5 12V6z",
        "M12 8.5v4", "M12 15.8v.01"],
    hubs: ["M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 1 0 0-5", "M12 9.5V4", "m9.8 13.3-5 3.2",
        "m14.2 13.3 5 3.2"],
    more: ["M5 12h.01", "M12 12h.01", "M19 12h.01"],
    search: ["M11 4.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 1 0 0-13", "m15.8 15.8 4.2 4.2"],
    back: ["M15 5l-7 7 7 7"],
    left: ["M14 6l-6 6 6 6"],
    right: ["M10 6l6 6-6 6"],
    download: ["M12 4v11", "m7.5 11 4.5 4.5L16.5 11", "M4 20h16"],
    describe: ["M4 20l1-4L16 5l3 3L8 19z", "M14 7l3 3"],
    signal: ["M4 18v-2", "M9 18v-5", "M14 18v-9", "M19 18V5"],
    missed: ["M4 12h3l3-7 4 14 3-7h3"],
    light: ["M12 8a4 4 0 1 0 0 8 4 4 0 1 0 0-8", "M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2",
        "M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4"],
    dark: ["M19.5 14A8 8 0 0 1 10 4.5 8 8 0 1 0 19.5 14z"],
    auto: ["M12 4a8 8 0 1 0 0 16z", "M12 4a8 8 0 1 1 0 16"],
    out: ["M10 4H5v16h5", "M14 8l4 4-4 4", "M18 12H9"],
    reset: ["M5 12a7 7 0 1 0 2-5", "M7 3v4h4"],
    close: ["M6 6l12 12", "M18 6 6 18"],
    plus: ["M12 5v14", "M5 12h14"],
    up: ["M6 14l6-6 6 6"],
    down: ["M6 10l6 6 6-6"],
    check: ["M5 12.500l4.500 4.500L19 7.500"],
};
