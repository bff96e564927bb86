import { expect, test } from 'vitest';
import { checkAddress, parseCidr } from './address-rules.ts';

test.each([
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['::1', 'loopback'],
  ['0.0.0.0', 'unspecified'],
  ['0.1.2.3', 'unspecified'],
  ['::', 'unspecified'],
  ['10.0.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['fd12:3456::1', 'private'],
  ['fec0::1', 'private'],
  ['169.254.1.1', 'link_local'],
  ['fe80::1', 'link_local'],
  ['fe80::1%eth0', 'link_local'],
  ['100.64.0.1', 'carrier_grade_nat'],
  ['224.0.0.1', 'multicast'],
  ['ff02::1', 'multicast'],
  ['169.254.169.254', 'metadata'],
  ['168.63.129.16', 'metadata'],
  ['100.100.100.200', 'metadata'],
  ['fd00:ec2::254', 'metadata'],
  ['::ffff:127.0.0.1', 'ipv4_in_ipv6'],
  ['::ffff:8.8.8.8', 'ipv4_in_ipv6'],
  ['::ffff:0:127.0.0.1', 'ipv4_in_ipv6'],
  ['64:ff9b::7f00:1', 'ipv4_in_ipv6'],
  ['64:ff9b:1::a00:1', 'ipv4_in_ipv6'],
  ['2002:7f00:1::', 'ipv4_in_ipv6'],
  ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'ipv4_in_ipv6'],
  ['::127.0.0.1', 'ipv4_in_ipv6'],
  ['255.255.255.255', 'reserved'],
  ['192.0.2.1', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['240.0.0.1', 'reserved'],
  ['2001:db8::1', 'reserved'],
  ['100::1', 'reserved'],
  ['4000::1', 'reserved'],
  ['8.8.8.8', 'allowed'],
  ['2606:4700:4700::1111', 'allowed'],
  ['example.com', 'not_an_address'],
  ['0x7f.1', 'not_an_address'],
  ['', 'not_an_address'],
])('%s is %s', (ip, verdict) => {
  expect(checkAddress(ip, [])).toBe(verdict);
});

test('an allowed network opens exactly itself', () => {
  const allow = [parseCidr('127.0.0.0/8'), parseCidr('fd00::/8')];
  expect(checkAddress('127.0.0.1', allow)).toBe('allowed');
  expect(checkAddress('::ffff:127.0.0.1', allow)).toBe('allowed');
  expect(checkAddress('fd12::1', allow)).toBe('allowed');
  expect(checkAddress('10.0.0.1', allow)).toBe('private');
  expect(checkAddress('::1', allow)).toBe('loopback');
});

test('a network is an address, an address with a prefix, or an error', () => {
  expect(parseCidr('10.1.2.3').prefix).toBe(32);
  expect(parseCidr('::1').prefix).toBe(128);
  for (const text of ['10.0.0.0/33', 'example.com', '', '10.0.0']) {
    expect(() => parseCidr(text)).toThrow(RangeError);
  }
});
