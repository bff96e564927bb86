import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { findLogin, forgetProfile, isOpenToOthers, profilesPath, saveProfile } from './profiles.ts';

const emptyEnv = () => ({ XDG_CONFIG_HOME: temporaryDirectory() });
const main = { url: 'https://main.example.com', key: 'tk_main' };
const other = { url: 'https://other.example.com', key: 'tk_other' };

test('the profile of the last login is used, and another by its name, until it is forgotten', () => {
  const env = emptyEnv();
  expect(() => findLogin(env, undefined)).toThrow('you are not logged in');
  saveProfile(env, 'main', main);
  saveProfile(env, 'other', other);
  expect(findLogin(env, undefined)).toMatchObject(other);
  expect(findLogin(env, 'main')).toMatchObject(main);
  expect(findLogin({ ...env, TANDEM_PROFILE: 'main' }, undefined)).toMatchObject(main);
  expect(() => findLogin(env, 'third')).toThrow('there is no profile third; there is main, other');
  expect(() => findLogin(env, 'constructor')).toThrow('there is no profile constructor');
  expect(forgetProfile(env, undefined)).toBe('other');
  expect(findLogin(env, undefined)).toMatchObject(main);
  expect(forgetProfile(env, 'other')).toBeUndefined();
  expect(forgetProfile(env, undefined)).toBe('main');
  expect(existsSync(profilesPath(env))).toBe(false);
});

test('the environment wins over the last login, and a key never goes to a URL that it was not given with', () => {
  const env = emptyEnv();
  saveProfile(env, 'main', main);
  expect(findLogin({ ...env, TANDEM_URL: other.url, TANDEM_API_KEY: other.key }, undefined)).toMatchObject(
    other,
  );
  expect(findLogin({ ...env, TANDEM_URL: other.url, TANDEM_KEY: other.key }, undefined)).toMatchObject(other);
  expect(findLogin({ ...env, TANDEM_URL: other.url, TANDEM_API_KEY: other.key }, 'main')).toMatchObject(main);
  expect(() => findLogin({ ...env, TANDEM_URL: other.url }, undefined)).toThrow('set TANDEM_API_KEY too');
  expect(() => findLogin({ ...env, TANDEM_API_KEY: other.key }, undefined)).toThrow('set TANDEM_URL too');
});

test('only the owner can read the file, and a file that others can read is refused', () => {
  const env = emptyEnv();
  saveProfile(env, 'main', main);
  const path = profilesPath(env);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(path, mode);
    expect(() => findLogin(env, undefined)).toThrow(/can be read by others \(mode \d+\)[\s\S]*chmod 600/);
    expect(() => saveProfile(env, 'other', other)).toThrow(SetupError);
  }
  chmodSync(path, 0o600);
  expect(findLogin(env, undefined)).toMatchObject(main);
});

test('a file that is no file of profiles is refused without its text, and kept', () => {
  const env = emptyEnv();
  saveProfile(env, 'main', main);
  const path = profilesPath(env);
  writeFileSync(path, '{"current": "main", "profiles": {"main": {"key": "tk_secret"}}}');
  const failure = (() => {
    try {
      return findLogin(env, undefined);
    } catch (error) {
      return error;
    }
  })();
  expect(failure).toBeInstanceOf(SetupError);
  expect(String(failure)).toContain('is not a file of profiles');
  expect(String(failure)).not.toContain('tk_secret');
  expect(readFileSync(path, 'utf8')).toContain('tk_secret');
});

test('only http to another machine can be read by others', () => {
  const open = ['http://example.com/hook', 'http://127.example.com', 'http://10.0.0.1:80'];
  const closed = ['https://example.com', 'http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]/'];
  expect([...open, ...closed].filter(isOpenToOthers)).toEqual(open);
});
