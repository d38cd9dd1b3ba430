#!/usr/bin/env node
// A client that is not ours: an ESME on the npm package `smpp`, for the tests of the gateway's SMPP server.
//
// esme.js PORT SYSTEM_ID PASSWORD SUBMITS MO: binds as transceiver, submits with up to 50 unanswered, asks for receipts,
// and stays until it has a receipt for each submit and that many MO. Prints `bound` once it is bound and, at its end, one
// JSON line: ids given, receipts by state, texts of MO. It ends with 1 when something does not come in time, with 4 when the server unbinds.
//
// It knows nothing of the gateway beyond SMPP 3.4.

'use strict';

const path = require('path');

const peers = process.env.SMSGW_PEERS || path.join(__dirname, '../../target/peers');
const smpp = require(require.resolve('smpp', { paths: [path.join(peers, 'npm')] }));

const [port, systemId, password, submits, mobile] = process.argv.slice(2);
const wanted = { submits: Number(submits), mo: Number(mobile) };
const WINDOW = 50;
const DEADLINE = 60_000;

const given = new Set();
const receipts = new Set();
const refused = [];
const states = {};
const texts = [];
let next = 0;
let waiting = 0;

function finish(code) {
  const known = [...receipts].filter((id) => given.has(id));
  console.log(JSON.stringify({
    submitted: next,
    accepted: given.size,
    refused,
    receipts: known.length,
    strangers: [...receipts].filter((id) => !given.has(id)),
    states,
    mo: texts,
  }));
  process.exit(code);
}

setTimeout(() => finish(1), DEADLINE);

const session = smpp.connect({ url: `smpp://127.0.0.1:${port}`, auto_enquire_link_period: 1000 }, () => {
  session.bind_transceiver({ system_id: systemId, password }, (pdu) => {
    if (pdu.command_status !== 0) {
      console.error(`bind refused: ${pdu.command_status}`);
      process.exit(2);
    }
    console.log('bound');
    fill();
  });
});
session.on('unbind', (pdu) => {
  // The other end wants us to go.
  session.send(pdu.response());
  session.close(() => finish(4));
});
session.on('error', (error) => {
  console.error(error.message);
  process.exit(3);
});

function isOver() {
  return given.size + refused.length === wanted.submits && receipts.size >= given.size && texts.length >= wanted.mo;
}

function look() {
  if (!isOver()) return;
  session.unbind(() => {
    session.close();
    finish(0);
  });
}

function fill() {
  while (waiting < WINDOW && next < wanted.submits) {
    const number = next++;
    waiting += 1;
    session.submit_sm({
      source_addr: '54321',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      destination_addr: `4916${String(number).padStart(8, '0')}`,
      short_message: number % 7 === 0 ? `Привет ${number}` : `Hello ${number}`,
      registered_delivery: 1,
    }, (pdu) => {
      waiting -= 1;
      if (pdu.command_status === 0) given.add(pdu.message_id);
      else refused.push(pdu.command_status);
      fill();
      look();
    });
  }
}

session.on('deliver_sm', (pdu) => {
  if (pdu.esm_class & 0x3c) {
    receipts.add(pdu.receipted_message_id);
    states[pdu.message_state] = (states[pdu.message_state] || 0) + 1;
  } else {
    texts.push(typeof pdu.short_message === 'string' ? pdu.short_message : pdu.short_message.message);
  }
  session.send(pdu.response());
  look();
});
