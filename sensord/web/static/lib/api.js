/**
 * Asking the gateway, and telling it what to do: JSON under /api/v1.
 */

const ROOT = "/api/v1/";

/** What the gateway did not do. `status` is that of HTTP; 0 if it could not be asked. */
export class ApiError extends Error {
    constructor(status, message, answer) {
        super(message);
        this.name = "ApiError";
        this.status = status;
        this.answer = answer;
    }
}

/**
 * The address of something; for links too.
 *
 * Parameters that are null, undefined or empty are left out; a list is given once for each item.
 */
export function address(path, params) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params ?? {})) {
        for (const one of Array.isArray(value) ? value : [value]) {
            if (one !== null && one !== undefined && one !== "") query.append(name, one);
        }
    }
    const said = query.toString();
    return ROOT + path.replace(/^\//, "") + (said ? `?${said}` : "");
}

/** Ask for something. `options.signal` can give it up. */
export function get(path, params, options) {
    return ask("GET", address(path, params), undefined, options);
}

/** Tell the gateway something. */
export function post(path, body, options) {
    return ask("POST", address(path), body ?? {}, options);
}

/** Have something removed. */
export function remove(path, options) {
    return ask("DELETE", address(path), undefined, options);
}

async function ask(method, where, body, options) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["Content-Type"] = "application/json";
    let response, text;
    try {
        response = await fetch(where, {
            method,
            headers,
            body: body === undefined ? undefined : JSON.stringify(body),
            credentials: "same-origin",
            cache: "no-store",
            signal: options?.signal,
        });
        text = await response.text();
    } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ApiError(0, "the gateway does not answer");
    }
    let answer = null;
    try {
        answer = text ? JSON.parse(text) : null;
    } catch {
        if (response.ok) throw new ApiError(response.status, "the answer is no JSON");
    }
    if (response.ok) return answer;
    if (response.status === 401 && !where.startsWith(`${ROOT}session`)) {
        window.dispatchEvent(new Event("sensord:login"));  // the session is over
    }
    const why = answer?.error ?? `${response.status} ${response.statusText}`.trim();
    throw new ApiError(response.status, why, answer);
}
