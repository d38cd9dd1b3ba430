#!/usr/bin/env node
// A carrier that is not ours: an SMPP 3.4 server on the npm package `smpp`, for the tests of the gateway's ESME side.
//
// Prints `listening PORT`, then one JSON line per event (bind, closed, answered, …). Each submit is written to the
// ledger BEFORE it is answered, with one synchronous write, so the ledger of a killed carrier holds everything it ever
// accepted. Each accepted submit gets an Appendix B receipt when it asked for one. Commands come as JSON lines on standard
// input; at its end the carrier exits, so that it never outlives the test that started it.
//
// It knows nothing of the gateway. Octets are recorded as they came: the package's own decoding of texts is switched off.
//
// Limits: no TLS, no submit_multi, no data_sm (answered generic_nack). Receipts not yet acknowledged live in memory.

'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { parseArgs } = require('util');

const peers = process.env.SMSGW_PEERS || path.join(__dirname, '../../target/peers');
let smpp;
try {
  smpp = require(require.resolve('smpp', { paths: [path.join(peers, 'npm')] }));
} catch {
  console.error(`carrier: no package smpp under ${peers}/npm: run 'cargo xtask test --only install'`);
  process.exit(3);
}

const USAGE = `carrier.js [options]
  --host H (127.0.0.1)  --port N (0: any)  --system-id S (test)  --password S (test)
  --ledger FILE         append ledger lines here; without it they go to standard output
  --answer-delay MS (0) wait before each submit_sm_resp
  --receipt-delay MS (50)  wait between answer and receipt; 'none' sends no receipts
  --receipt-state S (DELIVRD)   --receipt-without-tlv   --receipt-before-answer
  --receipt-suffix SUFFIX=STATE  another state for destinations that end so (may be repeated)
  --id-format F (decimal)  decimal | hex | hex-decimal (hex in the answer, decimal in the receipt)
  --first-id N          (default: from the clock)
  --rate N (0)          submits per second above which the answer is 0x58; 0: no limit
  --reject SUFFIX=STATUS  answer destinations that end so with this status, e.g. 99=0x0b (may be repeated)
  --drop-after N        cut the connection on every Nth submit, recorded but not answered
  --deliver-window N (100)  deliver_sm in flight on one bind
  --stay                do not exit when standard input ends
commands: {"cmd":"mo","from","to","text"|"hex","data_coding","esm_class","source_ton","dest_ton"}
  {"cmd":"receipt","id","state"} {"cmd":"reject","suffix","status"} {"cmd":"rate","rate"} {"cmd":"drop"} {"cmd":"unbind"}
  {"cmd":"silence","on":true}  (submits are recorded and not answered)   {"cmd":"stats"} {"cmd":"quit"}`;

function fail(message) {
  console.error(`carrier: ${message}`);
  process.exit(2);
}

function number(text, name) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) fail(`${name}: not a number: ${text}`);
  return value;
}

function pairs(list, name, read) {
  return new Map((list || []).map((item) => {
    const at = item.indexOf('=');
    if (at < 1) fail(`${name} wants SUFFIX=VALUE, not ${item}`);
    return [item.slice(0, at), read(item.slice(at + 1))];
  }));
}

let args;
try {
  const text = (value) => ({ type: 'string', default: value });
  args = parseArgs({
    options: {
      host: text('127.0.0.1'), port: text('0'), 'system-id': text('test'), password: text('test'),
      ledger: { type: 'string' }, 'answer-delay': text('0'), 'receipt-delay': text('50'), 'receipt-state': text('DELIVRD'),
      'receipt-without-tlv': { type: 'boolean', default: false }, 'receipt-before-answer': { type: 'boolean', default: false },
      'receipt-suffix': { type: 'string', multiple: true }, 'id-format': text('decimal'), 'first-id': { type: 'string' },
      rate: text('0'), reject: { type: 'string', multiple: true }, 'drop-after': text('0'), 'deliver-window': text('100'),
      stay: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
    },
  }).values;
} catch (error) {
  fail(`${error.message}\n${USAGE}`);
}
if (args.help) {
  console.log(USAGE);
  process.exit(0);
}

// Receipt words with the message_state of section 5.2.28.
const STATES = { ENROUTE: 1, DELIVRD: 2, EXPIRED: 3, DELETED: 4, UNDELIV: 5, ACCEPTD: 6, UNKNOWN: 7, REJECTD: 8 };
function stateWord(word) {
  if (!(word in STATES)) fail(`unknown receipt state ${word}; one of ${Object.keys(STATES).join(' ')}`);
  return word;
}

const options = {
  answerDelay: number(args['answer-delay'], 'answer-delay'),
  receiptDelay: args['receipt-delay'] === 'none' ? null : number(args['receipt-delay'], 'receipt-delay'),
  receiptState: stateWord(args['receipt-state']),
  receiptStates: pairs(args['receipt-suffix'], 'receipt-suffix', stateWord),
  rejects: pairs(args.reject, 'reject', (status) => number(status, 'reject')),
  rate: number(args.rate, 'rate'),
  dropAfter: number(args['drop-after'], 'drop-after'),
  deliverWindow: number(args['deliver-window'], 'deliver-window') || 1,
};
if (!['decimal', 'hex', 'hex-decimal'].includes(args['id-format'])) fail(`unknown id-format ${args['id-format']}`);

// Octets as they came: texts and times are not decoded.
for (const command of ['submit_sm', 'deliver_sm']) {
  for (const field of ['short_message', 'schedule_delivery_time', 'validity_period']) {
    delete smpp.commands[command].params[field].filter;
  }
}
delete smpp.tlvs.message_payload.filter;

const ledger = args.ledger === undefined ? 1 : fs.openSync(args.ledger, 'a');

// One line in one write. Nobody left to read it means that the test is over.
function write(file, line) {
  try {
    fs.writeSync(file, JSON.stringify(line) + '\n');
  } catch (error) {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  }
}
const record = (line) => write(ledger, line);
const tell = (event) => write(1, event);

const THROTTLED = 0x58;
const TRY_AGAIN = new Set([0x08, 0x14, THROTTLED, 0x64]);
const stats = { binds: 0, submits: 0, accepted: 0, throttled: 0, rejected: 0, receipts: 0, mo: 0 };
const sessions = new Set();
// Receipts and MO that no receiver has acknowledged yet, oldest first.
const waiting = [];
let nextId = args['first-id'] === undefined ? BigInt(Date.now()) * 1000n : BigInt(args['first-id']);
let second = { start: 0, count: 0 };
let silent = false;
let moCount = 0;

function newIds() {
  const id = nextId++;
  const decimal = id.toString();
  const hex = id.toString(16).toUpperCase();
  return { answered: args['id-format'] === 'decimal' ? decimal : hex, receipted: args['id-format'] === 'hex' ? hex : decimal };
}

function overRate(now) {
  if (options.rate === 0) return false;
  if (now - second.start >= 1000) second = { start: now, count: 0 };
  second.count += 1;
  return second.count > options.rate;
}

function bySuffix(map, destination) {
  for (const [suffix, value] of map) if (destination.endsWith(suffix)) return value;
  return undefined;
}

// The user data header of a submit, in hex; empty without one.
function udh(esmClass, octets) {
  if ((esmClass & 0x40) === 0 || octets.length === 0) return '';
  return octets.subarray(0, Math.min(octets.length, octets[0] + 1)).toString('hex');
}

function later(delay, act) {
  if (delay === 0) act();
  else setTimeout(act, delay);
}

function onSubmit(session, pdu) {
  const now = Date.now();
  const octets = Buffer.isBuffer(pdu.short_message) ? pdu.short_message : Buffer.alloc(0);
  const payload = Buffer.isBuffer(pdu.message_payload) ? pdu.message_payload : Buffer.alloc(0);
  const reject = bySuffix(options.rejects, pdu.destination_addr);
  const status = overRate(now) ? THROTTLED : reject === undefined ? 0 : reject;
  const ids = status === 0 ? newIds() : { answered: '', receipted: '' };
  stats.submits += 1;
  const dropped = options.dropAfter > 0 && stats.submits % options.dropAfter === 0;
  const asked = pdu.registered_delivery & 0x03;
  record({
    kind: 'submit', at: now, id: ids.answered, receipt_id: ids.receipted, status, answered: !dropped && !silent,
    sequence: pdu.sequence_number, source: pdu.source_addr, source_ton: pdu.source_addr_ton, source_npi: pdu.source_addr_npi,
    dest: pdu.destination_addr, dest_ton: pdu.dest_addr_ton, dest_npi: pdu.dest_addr_npi, service_type: pdu.service_type,
    esm_class: pdu.esm_class, protocol_id: pdu.protocol_id, priority: pdu.priority_flag, data_coding: pdu.data_coding,
    registered_delivery: pdu.registered_delivery, validity: pdu.validity_period, short_message: octets.toString('hex'),
    message_payload: payload.toString('hex'), udh: udh(pdu.esm_class, octets.length > 0 ? octets : payload),
  });
  if (status === 0) stats.accepted += 1;
  else if (status === THROTTLED) stats.throttled += 1;
  else stats.rejected += 1;

  const state = bySuffix(options.receiptStates, pdu.destination_addr) || options.receiptState;
  const wanted = status === 0 && options.receiptDelay !== null && (asked === 1 || (asked === 2 && state !== 'DELIVRD'));
  const receipt = () => enqueue(receiptFor(pdu, ids.receipted, state, now, octets));
  if (wanted && args['receipt-before-answer']) receipt();
  later(options.answerDelay, () => {
    if (dropped) {
      tell({ event: 'dropped', submits: stats.submits });
      session.destroy();
    } else if (!silent) {
      session.send(pdu.response(status === 0 ? { message_id: ids.answered } : { command_status: status }));
    }
    if (wanted && !args['receipt-before-answer']) setTimeout(receipt, options.receiptDelay);
  });
}

function shortDate(at) {
  return new Date(at).toISOString().slice(2, 16).replace(/[-T:]/g, '');
}

// SMPP 3.4 Appendix B, with receipted_message_id and message_state beside the text.
function receiptFor(pdu, id, state, submitted, octets) {
  const delivered = state === 'DELIVRD';
  const text = `id:${id} sub:001 dlvrd:${delivered ? '001' : '000'} submit date:${shortDate(submitted)} ` +
    `done date:${shortDate(Date.now())} stat:${state} err:${delivered ? '000' : '001'} text:`;
  const shown = pdu.data_coding === 0 ? octets.subarray(0, 20).map((c) => (c >= 0x20 && c < 0x7f ? c : 0x2e)) : Buffer.alloc(0);
  const fields = {
    source_addr_ton: pdu.dest_addr_ton, source_addr_npi: pdu.dest_addr_npi, source_addr: pdu.destination_addr,
    dest_addr_ton: pdu.source_addr_ton, dest_addr_npi: pdu.source_addr_npi, destination_addr: pdu.source_addr,
    esm_class: 0x04, data_coding: 0, short_message: Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from(shown)]),
  };
  if (!args['receipt-without-tlv']) {
    fields.receipted_message_id = id;
    fields.message_state = STATES[state];
  }
  return { kind: 'receipt', id, state, fields };
}

function mobileOriginated(command) {
  const coding = command.data_coding === undefined ? 0 : number(command.data_coding, 'data_coding');
  const encode = coding === 8 ? smpp.encodings.UCS2 : coding === 3 ? smpp.encodings.LATIN1 : smpp.encodings.ASCII;
  const octets = command.hex === undefined ? encode.encode(String(command.text)) : Buffer.from(command.hex, 'hex');
  moCount += 1;
  return {
    kind: 'mo', id: String(command.id === undefined ? moCount : command.id),
    fields: {
      source_addr: String(command.from), source_addr_ton: command.source_ton === undefined ? 1 : command.source_ton, source_addr_npi: 1,
      destination_addr: String(command.to), dest_addr_ton: command.dest_ton === undefined ? 0 : command.dest_ton, dest_addr_npi: 1,
      esm_class: command.esm_class || 0, data_coding: coding, short_message: octets,
    },
  };
}

function enqueue(delivery) {
  waiting.push(delivery);
  pump();
}

function pump() {
  for (const session of sessions) {
    while (waiting.length > 0 && session.receives && session.unacknowledged.size < options.deliverWindow) {
      deliver(session, waiting.shift());
    }
  }
}

function deliver(session, delivery) {
  // The package encodes in place: it gets a copy.
  session.unacknowledged.add(delivery);
  const sent = session.deliver_sm({ ...delivery.fields }, (answer) => {
    session.unacknowledged.delete(delivery);
    if (TRY_AGAIN.has(answer.command_status)) {
      setTimeout(() => enqueue(delivery), 1000);
    } else {
      if (delivery.kind === 'mo') stats.mo += 1;
      else stats.receipts += 1;
      record({ kind: `${delivery.kind}_answered`, at: Date.now(), id: delivery.id, state: delivery.state, status: answer.command_status });
    }
    pump();
  });
  if (!sent) {
    session.unacknowledged.delete(delivery);
    session.receives = false;
    waiting.unshift(delivery);
  }
}

function onBind(session, pdu, receives) {
  if (pdu.system_id !== args['system-id'] || pdu.password !== args.password) {
    tell({ event: 'bind_refused', system_id: pdu.system_id });
    session.send(pdu.response({ command_status: pdu.system_id === args['system-id'] ? 0x0e : 0x0f }), () => session.close());
    return;
  }
  if (session.bound) {
    session.send(pdu.response({ command_status: 0x05 }));
    return;
  }
  stats.binds += 1;
  session.bound = pdu.command;
  session.send(pdu.response({ system_id: 'carrier', sc_interface_version: 0x34 }), () => {
    session.receives = receives;
    pump();
  });
  tell({ event: 'bind', as: pdu.command, interface_version: pdu.interface_version, binds: stats.binds });
}

function onSession(session) {
  session.bound = null;
  session.receives = false;
  session.unacknowledged = new Set();
  session.socket.setNoDelay(true);
  sessions.add(session);
  session.on('bind_transceiver', (pdu) => onBind(session, pdu, true));
  session.on('bind_receiver', (pdu) => onBind(session, pdu, true));
  session.on('bind_transmitter', (pdu) => onBind(session, pdu, false));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response(), () => session.close()));
  session.on('submit_sm', (pdu) => {
    if (session.bound === 'bind_transmitter' || session.bound === 'bind_transceiver') onSubmit(session, pdu);
    else session.send(pdu.response({ command_status: 0x04 }));
  });
  const handled = new Set(['bind_transceiver', 'bind_receiver', 'bind_transmitter', 'enquire_link', 'unbind', 'submit_sm']);
  session.on('pdu', (pdu) => {
    if (pdu.isResponse() || handled.has(pdu.command)) return;
    tell({ event: 'unexpected', command: pdu.command, command_id: pdu.command_id });
    session.generic_nack({ command_status: 0x03, sequence_number: pdu.sequence_number });
  });
  session.on('error', (error) => {
    // What cannot be parsed is a finding of the test; a reset connection is not.
    tell({ event: error.code === undefined ? 'malformed' : 'socket_error', error: error.message });
    session.destroy();
  });
  session.on('close', () => {
    sessions.delete(session);
    session.receives = false;
    waiting.unshift(...session.unacknowledged);
    session.unacknowledged.clear();
    tell({ event: 'closed', was: session.bound });
    pump();
  });
}

function onCommand(line) {
  let command;
  try {
    command = JSON.parse(line);
  } catch (error) {
    tell({ event: 'bad_command', error: error.message });
    return;
  }
  switch (command.cmd) {
    case 'mo': enqueue(mobileOriginated(command)); break;
    case 'receipt': {
      const state = stateWord(command.state || 'DELIVRD');
      const pdu = { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: String(command.from || ''), source_addr_ton: 0, source_addr_npi: 1,
        source_addr: String(command.to || ''), data_coding: 4 };
      enqueue(receiptFor(pdu, String(command.id), state, Date.now(), Buffer.alloc(0)));
      break;
    }
    case 'reject': options.rejects.set(String(command.suffix), number(command.status, 'status')); break;
    case 'rate': options.rate = number(command.rate, 'rate'); break;
    case 'silence': silent = command.on !== false; break;
    case 'drop': for (const session of sessions) session.destroy(); break;
    case 'unbind': for (const session of sessions) if (session.bound) session.unbind(() => session.close()); break;
    case 'stats': break;
    case 'quit': process.exit(0); break;
    default: tell({ event: 'bad_command', error: `unknown command ${command.cmd}` }); return;
  }
  const unacknowledged = [...sessions].map((session) => session.unacknowledged.size);
  tell({ event: 'done', cmd: command.cmd, ...stats, waiting: waiting.length, unacknowledged });
}

const server = smpp.createServer({}, onSession);
server.on('error', (error) => fail(error.message));
server.listen(number(args.port, 'port'), args.host, () => {
  fs.writeSync(1, `listening ${server.address().port}\n`);
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', onCommand);
  input.on('close', () => {
    if (!args.stay) process.exit(0);
  });
});
