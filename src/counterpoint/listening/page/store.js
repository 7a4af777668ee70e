// What a listener has done so far: in this browser at once, on the server as soon as it answers.

function newRater() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sampleRate() {
  try {
    const context = new AudioContext();
    context.close();
    return context.sampleRate;
  } catch {
    return null;
  }
}

export class Store {
  constructor(study, onChange) {
    this.key = `counterpoint-listening-${study.study}`;
    this.orders = study.orders.length;
    this.onChange = onChange;
    this.state = this.load() ?? { stage: "consent", choices: [], answers: {}, unsent: [], refused: [], draft: null };
    this.sending = Promise.resolve();
  }

  load() {
    try {
      return JSON.parse(localStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  save() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.state));
    } catch {
      // a full or forbidden storage: the server still gets every answer
    }
    this.onChange(this.state);
  }

  // A listener who has agreed gets a number, and an order from the server, or from the number where there is no server.
  async begin() {
    if (this.state.rater === undefined) {
      this.state.rater = newRater();
      this.save();
    }
    const answer = await this.post(this.registration(null));
    if (answer.ok) {
      this.state.order = answer.content.order;
      this.state.registered = true;
    } else {
      this.state.order ??= parseInt(this.state.rater.slice(0, 8), 16) % this.orders;
    }
    this.save();
  }

  registration(order) {
    return { kind: "rater", rater: this.state.rater, order, agent: navigator.userAgent.slice(0, 400), sample_rate: sampleRate() };
  }

  add(record) {
    const full = { ...record, rater: this.state.rater };
    if (full.kind === "answer") this.state.answers[full.trial] = full;
    if (full.kind === "headphones") this.state.headphones = full;
    this.state.unsent.push(full);
    this.save();
    return this.flush();
  }

  // One after the other, in order; what does not get through stays.
  flush() {
    this.sending = this.sending.then(() => this.sendAll());
    return this.sending;
  }

  async sendAll() {
    while (this.state.rater !== undefined && this.state.unsent.length > 0) {
      if (!this.state.registered) {
        const begun = await this.post(this.registration(this.state.order));
        if (!begun.ok) break;
        this.state.registered = true;
      }
      const sent = await this.post(this.state.unsent[0]);
      if (sent.status === 410 && !this.state.again) {
        this.state.again = true; // the server has forgotten this listener: begin once more
        this.state.registered = false;
        continue;
      }
      if (!sent.ok && sent.status !== 400) break;
      if (!sent.ok) this.state.refused.push(this.state.unsent[0]); // it would be refused again: the others go on, the download has it
      this.state.again = false;
      this.state.unsent.shift();
      this.save();
    }
    this.onChange(this.state);
  }

  async post(record) {
    try {
      const response = await fetch("api/records", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(record),
      });
      return { ok: response.ok, status: response.status, content: response.ok ? await response.json() : null };
    } catch {
      return { ok: false, status: 0, content: null };
    }
  }

  async withdraw() {
    try {
      const response = await fetch(`api/raters/${this.state.rater}`, { method: "DELETE" });
      if (!response.ok) return false;
    } catch {
      return false;
    }
    localStorage.removeItem(this.key);
    return true;
  }

  // The same lines that the server would have written.
  lines() {
    const records = [this.registration(this.state.order), this.state.headphones, ...Object.values(this.state.answers)];
    return records.filter((record) => record !== undefined).map((record) => JSON.stringify(record) + "\n").join("");
  }
}
