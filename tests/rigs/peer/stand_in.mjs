// Preloaded into the peer: each request of its ccxt goes to the stand-in exchange at STAND_IN_URL, with its own path.
const { Exchange } = await import(process.env.PEER_CCXT);
const { fetch } = Exchange.prototype;
Exchange.prototype.fetch = function (url, ...request) {
  return fetch.call(this, url.replace(/^https?:\/\/[^/]+/, process.env.STAND_IN_URL), ...request);
};
