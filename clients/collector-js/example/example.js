// What a product's own script does: asks for consent, and shows here what the collector knows.
const remembered = "acme-consent";
const show = async () => {
  document.querySelector("#payload").textContent = JSON.stringify(await window.selfsame("payload"), null, 2);
};
const decide = (state) => async () => {
  localStorage.setItem(remembered, state);
  await window.selfsame("consent", state);
  document.querySelector("#consent").hidden = true;
  show();
};

document.querySelector("#yes").onclick = decide("granted");
document.querySelector("#no").onclick = decide("denied");
document.querySelector("#elsewhere").host = location.host.replace(/^(localhost|127\.0\.0\.1)/, (host) => (host === "localhost" ? "127.0.0.1" : "localhost"));
if (localStorage.getItem(remembered)) decide(localStorage.getItem(remembered))();
else show();
