export type { Action, Scope, Severity, Verdict } from './rules/verdict.ts';
