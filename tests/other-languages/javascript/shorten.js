// A filter in JavaScript: cuts a text that is too long, and says how long it was.
//
// It works on columns: a text is a place in the batch's text (start, length), so the shorter text is a place too, and
// nothing is copied.

const NO_VALUE = 0xffffffff;

const schema = {
  type: "object",
  properties: {
    source: { type: "string", default: "message", description: "The field that is cut." },
    longest: { type: "number", default: 20, description: "The longest text, in bytes." },
  },
  additionalProperties: false,
};

// The numbers of the plan's fields.
const SOURCE = 0;
const LENGTH = 1;

let longest = 20;
let seen = 0n;

export const filter = {
  describe() {
    return {
      name: "shorten",
      version: "0.1.0",
      summary: "cuts texts that are too long",
      optionsSchema: JSON.stringify(schema),
      manual: "",
      stateVersion: 1,
    };
  },

  configure(options, _environment) {
    const given = JSON.parse(options);
    const problems = Object.keys(given)
      .filter((name) => !(name in schema.properties))
      .map((name) => ({
        pointer: "/" + name,
        message: `unknown option ${name}`,
        fix: "its options are source, longest",
      }));
    longest = given.longest ?? 20;
    if (!Number.isInteger(longest) || longest < 0) {
      problems.push({ pointer: "/longest", message: "longest must be a whole number from 0", fix: "longest = 20" });
    }
    if (problems.length > 0) {
      throw problems;
    }
    return {
      fields: [
        { path: [given.source ?? "message"], access: { read: true, write: true }, extent: "one" },
        { path: ["length"], access: { write: true }, extent: "one" },
      ],
      everything: {},
      stateful: true,
      steps: 1,
      failureTags: ["_shorten_failure"],
    };
  },

  process(_step, events) {
    const rows = events.rows;
    seen += BigInt(rows);
    const starts = new Uint32Array(rows);
    const lens = new Uint32Array(rows).fill(NO_VALUE);
    const lengths = new BigInt64Array(rows);
    const cut = new Uint8Array((rows + 7) >> 3);
    const answer = {
      text: new Uint8Array(),
      sets: [],
      removes: [],
      verdicts: [],
      drops: new Uint8Array(),
      adds: new Uint32Array(),
      newFields: [],
    };
    for (const [row, start, length] of places(events.columns[SOURCE])) {
      if (length <= longest) {
        continue;
      }
      let end = start + longest;
      // Not within a letter of several bytes.
      while (end > start && (events.text[end] & 0xc0) === 0x80) {
        end -= 1;
      }
      starts[row] = start;
      lens[row] = end - start;
      lengths[row] = BigInt(length);
      cut[row >> 3] |= 1 << (row & 7);
    }
    if (cut.some((bits) => bits !== 0)) {
      answer.sets.push([SOURCE, { tag: "text", val: { starts, lens } }]);
      answer.sets.push([LENGTH, { tag: "integer", val: { values: lengths, present: cut } }]);
      answer.verdicts.push({ outcome: "matched", rows: cut, tags: [], reason: "" });
    }
    return answer;
  },

  save() {
    return new TextEncoder().encode(String(seen));
  },

  restore(stateVersion, state) {
    if (stateVersion !== 1) {
      throw `its state has version ${stateVersion}, not 1`;
    }
    seen = BigInt(new TextDecoder().decode(state));
  },
};

/** The rows that have a text, each with the text's start and length. */
function* places(column) {
  if (column.tag === "text") {
    const { starts, lens } = column.val;
    for (let row = 0; row < lens.length; row += 1) {
      if (lens[row] !== NO_VALUE) {
        yield [row, starts[row], lens[row]];
      }
    }
  } else if (column.tag === "mixed") {
    for (const [row, cell] of column.val) {
      if (cell.tag === "text") {
        yield [row, ...cell.val];
      }
    }
  }
}
