if (document.documentElement.dataset.start === "page") {
  document.body.textContent = "Claude Trader";
}
