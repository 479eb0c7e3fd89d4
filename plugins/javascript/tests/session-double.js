// A transaction that a test makes up: the server's services with the same names and the same answers, so that the
// whole hook runs under node, without wasm.

const octets = (text) => new TextEncoder().encode(text);
const text = (value) => new TextDecoder().decode(value);
const same = (a, b) => a.toLowerCase() === b.toLowerCase();

export class SessionDouble {
  /** `fields`: pairs of a name and a raw value. `kvError`: a WIT error that the store answers with. */
  constructor({ fields = [], sender = { local: "ann", domain: "example.net" }, kvError } = {}) {
    this.fields = fields.map(([name, value]) => [name, octets(value)]);
    this.lines = []; // [level, message, fields]
    this.counters = new Map();
    this.expiries = [];
    this.log = { log: (...line) => this.lines.push(line) };
    this.kv = {
      increment: (key, by, ttlS) => {
        if (kvError) throw Object.assign(new Error("component error"), { payload: kvError });
        this.expiries.push(ttlS);
        this.counters.set(key, (this.counters.get(key) ?? 0) + by);
        return this.counters.get(key);
      },
    };
    this.transaction = {
      sender: () => sender,
      headerAll: (name) => this.fields.filter(([n]) => same(n, name)).map(([, value]) => value),
      addHeader: (name, value, at) => void this.fields.splice(at ?? this.fields.length, 0, [name, value]),
      setHeader: (name, nth, value) => {
        this.fields.filter(([n]) => same(n, name))[nth][1] = value;
      },
      removeHeader: (name) => {
        const before = this.fields.length;
        this.fields = this.fields.filter(([n]) => !same(n, name));
        return before - this.fields.length;
      },
    };
  }

  /** The header as it would be written now. */
  get header() {
    return this.fields.map(([name, value]) => `${name}: ${text(value)}`);
  }
}
