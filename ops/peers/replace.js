#!/usr/bin/env node
// A client that is not ours: an ESME on the npm package `smpp` that changes its mind, for the tests of replace_sm and of
// cancel_sm without a message_id.
//
// replace.js PORT SYSTEM_ID PASSWORD: sends one message to 491700000200 and waits for its receipt; hands in so many others
// that the carrier is busy, then one for later (…201) and two that have to wait (…202, …203); replaces what can be replaced
// and what cannot, withdraws …203 by its addresses, and waits for the receipts of all four. Prints one JSON line: the status of
// each request, the states told for each number. It ends with 1 when something does not come in time.
//
// It knows nothing of the gateway beyond SMPP 3.4.

'use strict';

const path = require('path');

const peers = process.env.SMSGW_PEERS || path.join(__dirname, '../../target/peers');
const smpp = require(require.resolve('smpp', { paths: [path.join(peers, 'npm')] }));

const [port, systemId, password] = process.argv.slice(2);
const DEADLINE = 60_000;
const BUSY = 20;
const ME = '54321';
const NUMBERS = [0, 1, 2, 3].map((n) => `49170000020${n}`);

const statuses = {};
const receipts = {};
let told = () => {};

function finish(code) {
  console.log(JSON.stringify({ statuses, receipts }));
  process.exit(code);
}

setTimeout(() => finish(1), DEADLINE);

const session = smpp.connect({ url: `smpp://127.0.0.1:${port}`, auto_enquire_link_period: 1000 }, () => {
  session.bind_transceiver({ system_id: systemId, password }, (pdu) => {
    if (pdu.command_status !== 0) {
      console.error(`bind refused: ${pdu.command_status}`);
      process.exit(2);
    }
    run().catch((error) => {
      console.error(error.message);
      process.exit(3);
    });
  });
});
session.on('error', (error) => {
  console.error(error.message);
  process.exit(3);
});
session.on('deliver_sm', (pdu) => {
  const text = typeof pdu.short_message === 'string' ? pdu.short_message : pdu.short_message.message;
  const [, state] = /stat:(\w+)/.exec(text);
  (receipts[pdu.source_addr] ||= []).push(state);
  session.send(pdu.response());
  told();
});

const ask = (command, fields) => new Promise((done) => session[command](fields, done));

async function submit(number, text, more) {
  const pdu = await ask('submit_sm', {
    source_addr: ME,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: number,
    short_message: text,
    registered_delivery: 1,
    ...more,
  });
  if (pdu.command_status !== 0) throw new Error(`${number} refused: ${pdu.command_status}`);
  return pdu.message_id;
}

async function replace(what, id, text, more) {
  const pdu = await ask('replace_sm', {
    message_id: id, source_addr: ME, registered_delivery: 1, short_message: text, ...more,
  });
  statuses[what] = pdu.command_status;
}

async function cancelGroup(what, from, to) {
  const pdu = await ask('cancel_sm', {
    message_id: '', source_addr: from, dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: to,
  });
  statuses[what] = pdu.command_status;
}

const have = (numbers) => new Promise((done) => {
  told = () => numbers.every((number) => receipts[number]) && done();
  told();
});

async function run() {
  const [first, later, waits, unwanted] = NUMBERS;
  const sent = await submit(first, 'first');
  await have([first]);
  for (let n = 0; n < BUSY; n += 1) {
    await submit(`4917000003${String(n).padStart(2, '0')}`, `busy ${n}`);
  }
  const scheduled = await submit(later, 'later', { schedule_delivery_time: '000000010000000R' });
  const waiting = await submit(waits, 'waits');
  await submit(unwanted, 'unwanted');
  await replace('replace sent', sent, 'too late');
  await replace('replace of another sender', waiting, 'not ours', { source_addr: '99999' });
  await replace('replace waiting', waiting, 'waited and new');
  await replace('replace scheduled', scheduled, 'now and new', {
    schedule_delivery_time: new Date(Date.now() - 1000),
  });
  await cancelGroup('cancel group without a sender', '', unwanted);
  await cancelGroup('cancel group', ME, unwanted);
  await have(NUMBERS);
  session.unbind(() => {
    session.close();
    finish(0);
  });
}
