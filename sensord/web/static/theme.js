/* Before anything is painted: light or dark, as chosen or as the system has it. */
(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const root = document.documentElement;
    const show = () => {
        let chosen = "auto";
        try {
            chosen = localStorage.getItem("sensord.theme") ?? "auto";
        } catch {
            // no storage: as the system has it
        }
        root.dataset.chosen = chosen;
        root.dataset.theme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
        root.dispatchEvent(new Event("theme"));
    };
    dark.addEventListener("change", show);
    root.addEventListener("choose", (event) => {
        try {
            localStorage.setItem("sensord.theme", event.detail);
        } catch {
            return;
        }
        show();
    });
    show();
})();
