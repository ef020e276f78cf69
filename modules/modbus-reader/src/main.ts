import { runModule } from '@weir/lib/host'
import { modbusReader } from './module.ts'

await runModule(modbusReader)
