import type { Command } from '../command.ts';
import { benchCommand } from './bench.ts';
import { catalogCheckCommand } from './catalog-check.ts';
import { catalogInitCommand } from './catalog-init.ts';
import { completionCommand } from './completion.ts';
import { configListCommand } from './config-list.ts';
import { dataCommand } from './data.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { migrateApplyCommand, migrateStatusCommand } from './migrate.ts';
import { sourcePrepareCommand } from './source-prepare.ts';
import { sourceStatusCommand } from './source-status.ts';
import { stackCommand } from './stack.ts';
import { startCommand } from './start.ts';
import { topicsApplyCommand, topicsPlanCommand } from './topics.ts';
import { verifyCommand } from './verify.ts';

/** A command is added by its import and its place here. */
export const OPERATOR_COMMANDS: readonly Command[] = [
  startCommand,
  demoCommand,
  catalogInitCommand,
  catalogCheckCommand,
  sourcePrepareCommand,
  sourceStatusCommand,
  configListCommand,
  doctorCommand,
  migrateStatusCommand,
  migrateApplyCommand,
  topicsPlanCommand,
  topicsApplyCommand,
  verifyCommand,
  dataCommand,
  benchCommand,
  stackCommand,
  completionCommand,
];
