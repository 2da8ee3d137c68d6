// The stub: takes calls until the collector is there, and loads it after the page, so that a server that does not answer delays nothing. Its calls end after
// two seconds when it never comes. Small enough to stand in the page; where a policy forbids that, load this file.
((window, document, element) => {
  const load = () => {
    try {
      const script = document.createElement("script");
      for (const { name, value } of element.attributes) if (/^data-(?!src)/.test(name)) script.setAttribute(name, value);
      script.async = true;
      script.nonce = element.nonce;
      script.src = element.getAttribute("data-src");
      document.head.appendChild(script);
    } catch (_) {}
  };
  try {
    // An element with this id is no stub.
    if (typeof window.selfsame === "function") return;
    const queue = [];
    window.selfsame = function () {
      const words = arguments;
      return new Promise((resolve) => {
        if (queue.push([words, resolve]) > 99) queue.shift()[1]();
        setTimeout(resolve, 2e3);
      });
    };
    window.selfsame.queue = queue;
    window.selfsame.address = location.href;
    if (document.readyState === "complete") load();
    else window.addEventListener("load", () => setTimeout(load, 0));
  } catch (_) {}
})(window, document, document.currentScript);
