import { createGotSender } from '../../../services/dispatcher/send/send-with-got.ts';
import { createUndiciSender } from '../../../services/dispatcher/send/send-with-undici.ts';
import { describeSender } from '../../contract/describe-sender.ts';

describeSender('a sender made with got', createGotSender);
describeSender('a sender made with undici', createUndiciSender);
