/**
 * Editable lists: the values of a device, and its tags.
 */

import { h, icon } from "../lib/dom.js";
import { TYPES } from "../lib/frame.js";

/** How the fields of a value are labelled, and what stands for one that is empty. */
const FIELDS = [
    ["name", "Name", "temperature"],
    ["type", "Type", ""],
    ["field", "Field", ""],
    ["scale", "Scale", "1"],
    ["offset", "Offset", "0"],
    ["unit", "Unit", ""],
];

/** The fields that are numbers, and what is meant by an empty one. */
const NUMBERS = { scale: 1, offset: 0 };

/**
 * The values of a device.
 *
 * @param form.types the codes that a type can be; none where the format needs no types.
 * @param form.fields whether a value can say what the wire calls it.
 * @param form.hint what the wire calls a value, for example.
 * @param changed called when something is another.
 * @return {node, read(), fill(values)}; read() returns null if a number is none.
 */
export function values(form, changed) {
    const shown = FIELDS.filter(
        ([name]) => (name !== "type" || form.types.length) && (name !== "field" || form.fields),
    );
    const list = h("ol", { class: "values" });
    const add = h(
        "button",
        {
            type: "button",
            class: "btn",
            onclick: () => {
                const rows = [...list.children];
                const last = rows.at(-1)?.read() ?? {};
                list.append(
                    row({
                        name: "",
                        type: last.type ?? form.types.find((type) => type === "h") ?? "",
                    }),
                );
                list.lastChild.querySelector("input").focus();
                changed();
            },
        },
        icon("plus"),
        "Add a value",
    );
    const node = h("div", { class: "stack" }, list, h("div", null, add));

    function row(value) {
        const inputs = Object.fromEntries(
            shown.map(([name, , empty]) => [
                name,
                name === "type" ? types(value.type, form.types) : input(name, value[name], empty),
            ]),
        );
        const li = h(
            "li",
            { class: "value" },
            shown.map(([name, label]) =>
                h("label", { class: `field of-${name}` }, h("span", null, label), inputs[name]),
            ),
            h(
                "div",
                { class: "moves" },
                button("up", "Move up", () => move(li, -1)),
                button("down", "Move down", () => move(li, 1)),
                button("close", "Remove", () => leave(li)),
            ),
        );
        li.addEventListener("input", changed);
        li.read = () => ({
            field: "",
            type: "",
            ...value,
            ...Object.fromEntries(shown.map(([name]) => [name, said(name, inputs[name])])),
        });
        return li;
    }

    function input(name, value, empty) {
        const number = name in NUMBERS;
        return h("input", {
            value: number
                ? value === undefined || value === NUMBERS[name]
                    ? ""
                    : String(value)
                : (value ?? ""),
            placeholder: name === "field" ? form.hint : empty,
            autocomplete: "off",
            spellcheck: "false",
            autocapitalize: "off",
            inputmode: number ? "text" : null,
            required: name === "name",
            maxlength: 200,
        });
    }

    function move(li, step) {
        const other = step < 0 ? li.previousElementSibling : li.nextElementSibling;
        if (!other) return;
        const focused = document.activeElement;
        if (step < 0) other.before(li);
        else other.after(li);
        focused?.focus();
        changed();
    }

    function leave(li) {
        (li.nextElementSibling ?? li.previousElementSibling)?.querySelector("input").focus();
        if (list.children.length === 1) add.focus();
        li.remove();
        changed();
    }

    return {
        node,
        read() {
            const all = [...list.children].map((li) => li.read());
            const good = (value) =>
                Object.keys(NUMBERS).every((name) => Number.isFinite(value[name] ?? 0));
            return all.every(good) ? all : null;
        },
        fill(some) {
            list.replaceChildren(...some.map(row));
        },
    };
}

/** What an input says; a number that is none is NaN, and is marked. */
function said(name, input) {
    const text = input.value.trim();
    if (!(name in NUMBERS)) return text;
    const value = text === "" ? NUMBERS[name] : Number(text.replace(",", ".").replace("−", "-"));
    if (Number.isFinite(value)) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
    return value;
}

function types(chosen, known) {
    const options = TYPES.filter(([code]) => known.includes(code)).map(([code, name]) =>
        h("option", { value: code, selected: code === chosen }, `${code} · ${name}`),
    );
    if (!known.includes(chosen)) options.unshift(h("option", { value: "", selected: true }, "–"));
    return h("select", null, options);
}

function button(name, label, f) {
    return h(
        "button",
        { type: "button", class: "btn quiet", "aria-label": label, title: label, onclick: f },
        icon(name),
    );
}

/**
 * The tags of a device; a place is asked for first.
 *
 * @return {node, read(), fill(tags)}
 */
export function tags(changed) {
    const place = h("input", { placeholder: "balcony", maxlength: 200, oninput: changed });
    const rows = h("div", { class: "stack tight" });
    const add = h(
        "button",
        {
            type: "button",
            class: "link",
            onclick: () => {
                rows.append(row("", ""));
                rows.lastChild.querySelector("input").focus();
            },
        },
        "Add another tag",
    );

    function row(key, value) {
        const name = h("input", {
            value: key,
            "aria-label": "Tag",
            placeholder: "floor",
            maxlength: 200,
        });
        const text = h("input", {
            value,
            "aria-label": "Value of the tag",
            placeholder: "2",
            maxlength: 200,
        });
        const node = h(
            "div",
            { class: "tag" },
            name,
            text,
            button("close", "Remove the tag", () => {
                node.remove();
                add.focus();
                changed();
            }),
        );
        node.addEventListener("input", changed);
        node.read = () => [name.value.trim(), text.value.trim()];
        return node;
    }

    return {
        place: h("label", { class: "field" }, h("span", null, "Place"), place),
        node: h("div", { class: "stack tight" }, rows, h("div", null, add)),
        read() {
            const found = [...rows.children].map((node) => node.read()).filter(([key]) => key);
            const said = place.value.trim();
            return Object.fromEntries(said ? [["place", said], ...found] : found);
        },
        fill(all) {
            place.value = all.place ?? "";
            rows.replaceChildren(
                ...Object.entries(all)
                    .filter(([key]) => key !== "place")
                    .map(([key, value]) => row(key, value)),
            );
        },
    };
}
