import type { Command } from '../command.ts';
import { bulkCommands } from './bulk.ts';
import { eventsTailCommand } from './events-tail.ts';
import { exportCommands } from './exports.ts';
import { keyCommands } from './keys.ts';
import { listenCommand } from './listen.ts';
import { loginCommand, logoutCommand, whoamiCommand } from './login.ts';
import { replicaSyncCommand } from './replica-sync.ts';
import { replicaVerifyCommand } from './replica-verify.ts';
import { verifySignatureCommand } from './verify-signature.ts';
import { webhookCommands } from './webhooks.ts';

/** A command is added by its import and its place here. */
export const CUSTOMER_COMMANDS: readonly Command[] = [
  loginCommand,
  logoutCommand,
  whoamiCommand,
  ...exportCommands,
  eventsTailCommand,
  listenCommand,
  replicaSyncCommand,
  replicaVerifyCommand,
  ...webhookCommands,
  verifySignatureCommand,
  ...bulkCommands,
  ...keyCommands,
];
