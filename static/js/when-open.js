/**
 * What is heavy and lies folded is fetched when it is opened for the first time: <template data-when-open> in a details,
 * with the links and scripts of its content. On a phone, most people pass by the map.
 */
for (const template of document.querySelectorAll("template[data-when-open]")) {
  const fold = template.closest("details");
  const fetchOnce = async () => {
    if (!fold.open || !template.isConnected) { return; }
    const parts = document.importNode(template.content, true);
    template.remove();
    const sheets = [...parts.querySelectorAll("link[rel=stylesheet]")];
    const arrived = sheets.map((sheet) => new Promise((done) => { sheet.onload = done; sheet.onerror = done; }));
    const scripts = [...parts.querySelectorAll("script")];
    for (const script of scripts) {
      // In their order, as they stand in the page: the library before what uses it.
      script.async = false;
      script.remove();
    }
    document.head.append(parts);
    await Promise.all(arrived);
    document.body.append(...scripts);
  };
  fold.addEventListener("toggle", fetchOnce);
  fetchOnce();
}
