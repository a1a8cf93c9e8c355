import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { downloadUrl, isDeviceId, type OtaTask } from '../src/ota-task.ts';

const TASK: OtaTask = {
  target: '1.2',
  token: 'ota_5hc95SFeo5xJEnaNrste',
  size: 123,
  signal: 12,
  power: 90,
  retry: 10,
  interval: 90,
  md5: 'dfkdajkfd',
  ipPort: '172.19.3.3:8002',
  type: 'FULL',
};

describe('a device id', () => {
  it.each([
    ['digits', '6523'],
    ['a leading zero', '007'],
    ['one character', '0'],
    ['letters', 'AzaZ'],
    ['dashes and underscores', '-_-'],
    ['64 characters', 'x'.repeat(64)],
    ['the name of a property of every object', '__proto__'],
  ])('may be %s', (_, id) => {
    expect(isDeviceId(id)).toBe(true);
  });

  it.each([
    ['empty', ''],
    ['65 characters', 'x'.repeat(65)],
    ['a megabyte', 'x'.repeat(1_000_000)],
    ['followed by a line break', '6523\n'],
    ['preceded by a line break', '\n6523'],
    ['followed by a carriage return', '6523\r'],
    ['followed by CRLF and a header', '6523\r\nX-Evil: 1'],
    ['two lines', '6523\n6523'],
    ['followed by a line separator', '6523\u2028'],
    ['followed by NUL', '6523\u0000'],
    ['a space', ' '],
    ['followed by a space', '6523 '],
    ['another parameter', '1&type=2'],
    ['a fragment', '1#'],
    ['a path', '../../x'],
    ['a host', '@evil/'],
    ['an address', 'http://169.254.169.254'],
    ['percent-encoded', '%36'],
    ['a plus sign', '+6523'],
    ['a fraction', '65.23'],
    ['full-width digits', '\uff16\uff15\uff12\uff13'],
    ['Arabic digits', '٦٥٢٣'],
    ['letters with accents', 'é'],
    ['a letter that only folds to ASCII', '\u212a'],
    ['a lone surrogate', '\ud800'],
    ['a number', 6523],
    ['a big number', 6523n],
    ['null', null],
    ['undefined', undefined],
    ['true', true],
    ['an array', ['6523']],
    ['an object', { id: '6523' }],
    ['an object that turns into one', { toString: () => '6523' }],
    ['a boxed string', Object('6523')],
  ])('is not %s', (_, value) => {
    expect(isDeviceId(value)).toBe(false);
  });

  it('is any 1 to 64 characters of A-Z a-z 0-9 _ -', () => {
    const character = fc.constantFrom(
      ...Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'),
    );
    fc.assert(
      fc.property(fc.string({ unit: character, minLength: 1, maxLength: 64, size: 'max' }), isDeviceId),
    );
  });

  it('contains no other character', () => {
    const part = fc.string({ unit: fc.constantFrom('a', 'Z', '5', '_', '-'), maxLength: 20 });
    const other = fc
      .integer({ min: 0, max: 0xffff })
      .map((code) => String.fromCharCode(code))
      .filter((character) => !/[\w-]/.test(character));
    fc.assert(
      fc.property(part, other, part, (before, character, after) => !isDeviceId(before + character + after)),
      { numRuns: 500 },
    );
  });
});

describe('the download URL', () => {
  it.each([
    ['an address', '172.19.3.3'],
    ['an address with a port', '172.19.3.3:8002'],
    ['a name', 'ota.heclouds.com'],
    ['a name with a port', 'ota.heclouds.com:80'],
    ['a name without dots', 'localhost:8002'],
    ['a name with a dash', 'ota-1.heclouds.com'],
    ['IPv6 in brackets', '[::1]'],
    ['IPv6 in brackets with a port', '[2001:db8::7]:8002'],
    ['the last port', '172.19.3.3:65535'],
  ])('is built from %s', (_, ipPort) => {
    expect(downloadUrl({ ...TASK, ipPort })).toBe(`http://${ipPort}/ota/download/ota_5hc95SFeo5xJEnaNrste`);
  });

  it.each([
    ['absent', null],
    ['empty', ''],
    ['a space', ' '],
    ['an address with a space before it', ' 172.19.3.3'],
    ['an address with a space after it', '172.19.3.3 '],
    ['an address with a space in it', '172.19. 3.3'],
    ['an address with a line break', '172.19.3.3\n'],
    ['an address with CRLF and a header', '172.19.3.3\r\nX-Evil: 1'],
    ['an address with a tab', '172.19\t.3.3'],
    ['an address with NUL', '172.19.3.3\u0000'],
    ['userinfo', 'a@b'],
    ['userinfo with a password', 'a:b@c'],
    ['userinfo with a port', '172.19.3.3:80@evil.example'],
    ['a path', '172.19.3.3/x'],
    ['a path only', '/x'],
    ['a host with a slash', '172.19.3.3:8002/'],
    ['a backslash', '172.19.3.3\\x'],
    ['a query', '172.19.3.3?x=1'],
    ['a fragment', '172.19.3.3#'],
    ['a percent sign', 'a%2eb'],
    ['a URL', 'http://172.19.3.3:8002'],
    ['another scheme', 'javascript:alert(1)'],
    ['another host', '//evil.example'],
    ['a port alone', ':8002'],
    ['a colon without a port', 'host:'],
    ['a port beyond the last', '172.19.3.3:99999'],
    ['a port of six digits', '172.19.3.3:008002'],
    ['a negative port', '172.19.3.3:-1'],
    ['a port that is a name', '172.19.3.3:http'],
    ['two ports', '172.19.3.3:80:80'],
    ['IPv6 without brackets', '2001:db8::7'],
    ['IPv6 half in brackets', '[::1'],
    ['brackets around nothing', '[]'],
    ['brackets around a name', '[localhost]'],
    ['brackets around what is no IPv6', '[1:2:3]'],
    ['IPv6 with a zone', '[fe80::1%25eth0]'],
    ['an address beyond 255', '172.19.3.333'],
    ['an address of five parts', '1.2.3.4.5'],
    ['a dot', '.'],
    ['a dash', '-'],
    ['two addresses', '172.19.3.3,172.19.3.4'],
    ['a name outside ASCII', 'höst'],
  ])('is null if the address is %s', (_, ipPort) => {
    expect(downloadUrl({ ...TASK, ipPort })).toBeNull();
  });

  it.each([
    ['a slash', 'a/b', 'a%2Fb'],
    ['a query', 'a?b=c', 'a%3Fb%3Dc'],
    ['a fragment', 'a#b', 'a%23b'],
    ['a space', 'a b', 'a%20b'],
    ['CRLF', 'a\r\nb', 'a%0D%0Ab'],
    ['a percent sign', 'a%2Fb', 'a%252Fb'],
    ['a path out of the folder', '../../x', '..%2F..%2Fx'],
    ['letters outside ASCII', '设', '%E8%AE%BE'],
    ['a lone surrogate', '\ud800', '%EF%BF%BD'],
  ])('percent-encodes the token if it contains %s', (_, token, encoded) => {
    expect(downloadUrl({ ...TASK, token })).toBe(`http://172.19.3.3:8002/ota/download/${encoded}`);
  });

  it('never throws, and never points outside the host or directory that OneNET named', () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.webAuthority(), fc.domain());
    // One or two dots are a step in the path, and no encoding changes that.
    const token = text.filter((value) => !/^\.{1,2}$/.test(value));
    fc.assert(
      fc.property(text, token, (ipPort, anyToken) => {
        const url = downloadUrl({ ...TASK, ipPort, token: anyToken });
        if (url === null) return;
        const { protocol, host, username, password, pathname, search, hash } = new URL(url);
        expect(new URL(`http://${ipPort}`).host).toBe(host);
        expect(pathname).toMatch(/^\/ota\/download\/[^/]*$/);
        expect([protocol, username, password, search, hash]).toEqual(['http:', '', '', '', '']);
      }),
      { numRuns: 500 },
    );
  });
});
