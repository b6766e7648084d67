#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Compiled once, a command starts in half the time; imports come after, so that they are compiled into the cache.
enableCompileCache();
await import('./program.ts');
