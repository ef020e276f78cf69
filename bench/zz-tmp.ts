import { benchJournal } from '/work/main/bench/journal.ts'
console.log(await benchJournal())
