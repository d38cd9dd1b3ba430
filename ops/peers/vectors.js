#!/usr/bin/env node
// What the npm package `smpp` makes of vectors.json: one line `NAME HEX` for each PDU, all with sequence number 7.
//
// The output is committed beside the codec's tests, which hold our codec to the same octets; a test runs this again and
// compares, so that the file stays what the package writes.

'use strict';

const path = require('path');

const peers = process.env.SMSGW_PEERS || path.join(__dirname, '../../target/peers');
let smpp;
try {
  smpp = require(require.resolve('smpp', { paths: [path.join(peers, 'npm')] }));
} catch {
  console.error(`vectors: no package smpp under ${peers}/npm: run 'cargo xtask test --only install'`);
  process.exit(3);
}

// Octets stand in the list as {"hex": …}, so that neither package touches a character set.
function octets(value) {
  if (Array.isArray(value)) return value.map(octets);
  return value !== null && typeof value === 'object' && 'hex' in value ? Buffer.from(value.hex, 'hex') : value;
}

for (const { name, command, status, fields } of require('./vectors.json')) {
  const options = { sequence_number: 7, command_status: status || 0 };
  for (const [field, value] of Object.entries(fields)) options[field] = octets(value);
  console.log(`${name} ${new smpp.PDU(command || name, options).toBuffer().toString('hex')}`);
}
