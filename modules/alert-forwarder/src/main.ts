import { runModule } from '@weir/lib/host'
import { alertForwarder } from './module.ts'

await runModule(alertForwarder)
