"""The words behind the rules, in English and Chinese: one line an idea, plain enough to be argued about.

Every entry is a regular expression over lower-case text with single spaces. English entries match whole words,
Chinese ones anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.model import Priority


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What raises a priority, and to what; `id` is the reason that people see."""

    id: str
    priority: Priority
    english: tuple[str, ...]
    chinese: tuple[str, ...]


ALARMS = (
    Alarm(
        id="safety",
        priority=Priority.URGENT,
        english=(
            r"(?:caught|on) fire",
            r"smoke (?:is )?com(?:es|ing)|started smoking",
            r"burn(?:s|ed|t|ing) my|explod(?:ed|es|ing)|overheat(?:s|ed|ing)",
            r"electric shock|electrocuted|gas leak",
            r"injur(?:ed|y)|allergic reaction|choking hazard|food poisoning",
            r"suicid(?:e|al)|kill myself",
            r"carbon monoxide|toxic fumes|(?:in|to) (?:the )?(?:hospital|emergency room)|is bleeding",
        ),
        chinese=(
            "着火|起火|冒烟|爆炸|烧起来",
            "触电|漏电|漏气|燃气泄漏|煤气",
            "烫伤|受伤|流血|住院|过敏反应|食物中毒",
            "自杀|不想活",
        ),
    ),
    Alarm(
        id="fraud",
        priority=Priority.URGENT,
        english=(
            r"fraud(?:ulent)?|scam(?:med)?|phishing|identity theft|stolen card|hacked",
            r"account (?:was |has been |is )?(?:compromised|taken over)",
            r"unauthori[sz]ed (?:charge|payment|transaction|access|login)s?",
            r"some(?:one|body) (?:else )?(?:changed|is using|used|logged)",
            r"not me who (?:ordered|paid|bought|logged)|did(?: not|n't) make (?:this|that|the) (?:payment|purchase)",
        ),
        chinese=(
            "诈骗|被骗|钓鱼|冒充",
            "盗刷|被盗|盗号|黑客|异地登录",
            "不是我本人|(?:不是|没有)我(?:本人)?(?:操作|买|付)的",
        ),
    ),
    Alarm(
        id="outage",
        priority=Priority.URGENT,
        english=(
            (
                r"(?:site|service|system|server|platform|website|api)s? (?:is|are|has been|seems?)"
                r" (?:completely |totally |all )?(?:down|offline|unreachable)"
            ),
            r"full outage|total (?:outage|failure)|nothing works for anyone|every(?:one|body) is affected",
            r"nobody (?:here |in .{1,30} )?can (?:access|open|log ?in|connect|reach|work|use)",
            r"all (?:of )?our (?:shops|branches|users|stores)",
        ),
        chinese=("瘫痪|宕机|系统(?:全?都?)?崩|全线中断", "都用不了|大家都进不去", "所有门店|所有分店"),
    ),
    Alarm(
        id="payment",
        priority=Priority.HIGH,
        english=(
            r"(?:charged|billed|debited|paid) (?:\w+ ){0,3}(?:twice|two times|double)|double[- ]charged?|overcharged",
            r"(?:money|amount) (?:\w+ ){0,2}(?:left|deducted|gone|taken)|payment failed but",
            r"don'?t recogni[sz]e (?:this|the|a) charge",
        ),
        chinese=(
            "(?:重复|两次|两回|多)扣",
            "扣了?我?两[次回]|扣款两[次回]",
            "钱扣了|已扣款.{0,8}(?:未|没)|多收了?钱|乱扣费",
        ),
    ),
    Alarm(
        id="legal",
        priority=Priority.HIGH,
        english=(
            r"lawyer|attorney|solicitor|lawsuit|legal action|sue you|take you to court|small claims|police",
            r"consumer (?:protection|rights)|trading standards|ombudsman|better business bureau|chargeback",
        ),
        chinese=(
            "律师|起诉|法院|报警",
            "(?:打|拨|找|上)(?:了|过)?123[14]5|123[14]5(?:投诉|举报|热线)|工商局|消协|消费者协会|市场监管",
            "曝光你们|举报",
        ),
    ),
    Alarm(
        id="repeated_contact",
        priority=Priority.HIGH,
        english=(
            r"(?:second|third|fourth|fifth|\d{1,2}(?:nd|rd|th)|umpteenth) (?:time (?:i|we|that i)|message|e?mail)",
            r"(?:nobody|no one|no-one) (?:has |ever |is )?(?:answer|repl|respond|gets? back|writes? back)\w*",
            r"(?:still|had|got|have) (?:no|not had an?) (?:reply|answer|response)",
            r"(?:keep|kept|are|been) ignor(?:ing|ed) (?:me|my|us)|asked (?:\w+ ){0,3}times (?:already|now|before)",
        ),
        chinese=(
            "第[二三四五六七八九十几\\d]{1,3}[次遍](?:联系|反馈|找|问|投诉|发|说|打)",
            "(?:问|说|催|反馈|联系|打)了(?:好几|好多|很多|无数|[两三四五六七八九十几\\d])[遍次]",
            "(?:一直|还是|都|根本)?没有?人(?:理|回复?我?|管|处理)|一直不(?:回|理)",
        ),
    ),
    Alarm(
        id="privacy",
        priority=Priority.HIGH,
        english=(r"gdpr|ccpa|data (?:breach|leak|protection)|right to (?:be forgotten|erasure)|leaked my",),
        chinese=("个人信息保护法|信息泄露|泄露了?我|数据泄露|隐私泄露",),
    ),
    Alarm(
        id="wording",
        priority=Priority.HIGH,
        english=(
            r"(?<!not )(?<!not that )(?<!nothing )(?<!isn't )urgent(?:ly)?",
            r"asap|as soon as possible|right (?:now|away) please|immediately|emergency|please hurry",
            r"need(?:ed)? (?:it |this |access )?(?:today|now|tonight)",
        ),
        chinese=(
            "(?<!不)(?<!不是很)(?<!不太)(?:着急|紧急|加急|急用|很急|急急)",
            "马上处理|立刻|立即|快处理|赶紧",
            "十万火急|人命关天",
        ),
    ),
)

SPAM = (
    r"\b(?:earn|make) (?:up to )?[$€£]?\s?\d[\d,.]*k? ?(?:\$|usd|a |per )?.{0,12}(?:day|week|month|home)\b",
    r"\bmake money fast\b",
    r"\b(?:seo|backlinks?|guest posts?|(?:page 1|first page) of google|domain authority)\b",
    r"\b(?:lottery|jackpot|casino|betting tips|you(?: ha|')ve won|lucky winner|claim your prize)\b",
    r"\b(?:bitcoin|crypto|forex|usdt|airdrop)\b.{0,60}\b(?:invest|profit|guaranteed|signals?|join|free|wallet)\b",
    r"\b(?:invest|profit|guaranteed|join|free)\b.{0,60}\b(?:bitcoin|crypto|forex|usdt|airdrop)\b",
    r"\b(?:buy|get|10k|1000) (?:\w+ )?(?:followers|likes|subscribers|views)\b",
    r"\b(?:hot singles|viagra|cialis|replica watch(?:es)?|escort service)\b",
    r"\bloan\b.{0,40}(?:no|without) credit check|\binheritance\b.{0,40}\b(?:share|million|transfer)\b",
    r"\bwe are (?:an? |the )?(?:leading|professional) (?:manufacturer|supplier|factory)\b",
    r"\bwork from home\b.{0,40}[$€£]|[$€£] ?\d+ (?:per|an?) (?:hour|day)\b.{0,30}\b(?:add|message|join)\b",
    r"\b(?:no|without|bad) (?:collateral|credit)\b|\b(?:no|without) prescription\b|\bcash fast\b",
    r"\bfree spins\b|\bhot slots\b|\bhas won\b.{0,30}\b(?:usd|eur|dollars)\b|\bsend (?:us )?your bank details\b",
    r"\blose \d+ ?(?:kg|pounds|lbs)\b|\b(?:email|leads) (?:list|database)\b|\b(?:double|triple) your (?:coins|money)\b",
    r"\b(?:seo|web design|marketing) agency\b.{0,60}\b(?:rebuild|redesign|reply|boost)\b",
    r"刷单|日入过?[千万百]|月入[十百]?万|日赚|躺赚|网赚|兼职.{0,10}(?:结|佣金|扣扣|qq|微信)",
    r"(?:无抵押|低息|当天放款|秒批).{0,12}(?:贷|放款)|(?<!申请过)贷款.{0,12}(?:无抵押|放款|秒批)|网贷",
    r"(?<!说我)中奖(?!.{0,14}吗)|抽中.{0,6}奖|领取奖品|点击链接领",
    r"首充送|真人(?:在线)?娱乐|百家乐|博彩|彩票群|时时彩|六合彩|棋牌代理",
    r"炒[币股].{0,12}(?:群|老师|福利|稳)|稳赚不赔|内幕消息|带单老师",
    r"代开.{0,6}发票|发票代开|办证刻章",
    r"加我?(?:微信|v信|vx|扣扣|qq).{0,16}(?:了解|咨询|福利|赚|领|详)|扫码进群|高仿.{0,8}(?:表|包|鞋)",
    r"(?:涨粉|刷赞|刷粉|引流).{0,14}(?:块|元|到账|套餐|推广)|百度首页|网站优化.{0,10}(?:包|排名|首页)",
    r"厂家直销.{0,16}(?:欢迎|来样|批发|定做)",
    r"日结.{0,12}(?:[\d百千]|名额)|(?:名额有限|限时免费).{0,8}(?:加|进|私)|宝妈.{0,12}(?:赚|打字|兼职|结)",
    r"秒下款|套现|信用卡代还|提额.{0,6}(?:秒|包)|学历提升|职称挂靠|代办.{0,4}(?:资质|证)",
    r"(?:虚拟币|牛股|跟单|彩票|股票).{0,14}(?:赚|翻倍|涨|上车|包中|群)|幸运观众|(?:手续费|保证金)领取",
    r"刷好评|补单.{0,8}(?:价|低)|出粉丝|爆单|代运营.{0,12}销量|软文|外链.{0,4}发布|量大(?:从优|优惠)",
    r"交个朋友.{0,8}(?:加|聊)|聊聊投资|加(?:v|赖|个好友)[^a-z]{0,6}(?:详|聊|谈|领|$)|(?:免费送|免费领).{0,14}(?:转发|扫码|助理)",
    r"月入[一二三四五六七八九十两]?万|手机号资源|企业名录",
)

PERSON = (
    r"\b(?:real|actual|live|human) (?:person|human|agent|being|operator|representative)\b",
    (
        r"\b(?:talk|speak|chat|connect(?: me)?) (?:to|with) (?:an? |the |your )?(?:real |actual |live )?"
        r"(?:person|human|agent|someone|somebody|manager|supervisor|operator|representative|advisor)\b"
    ),
    r"\bstop the (?:ro)?bot\b|\bcall me back\b|\bhuman please\b",
    r"\b(?:do not|don'?t|not) want (?:to \w+ (?:to|with) )?an? (?:ro)?(?:bot|machine)\b",
    r"\b(?:get|give|put|connect|transfer) me (?:to |through to )?(?:an? )?(?:human|person|agent|operator)\b",
    r"^(?:human|agent|operator|person|representative)[ .!?]*$",
    r"转接?人工|人工(?:客服|服务|坐席)|真人|活人|找个?(?:真)?人(?:来|跟我|和我)|人工$|^(?:人工)+[!。 ]*$",
    r"(?:别|不要?).{0,4}机器人|给我(?:回个?)?(?:电话|回电)",
)

THANKS_EN = (
    "thanks thank thx thanx thks tks tnx 3q ty tysm cheers appreciated appreciate bye goodbye solved sorted fixed"
)
AGREED_EN = "ok okay okey k great perfect awesome wonderful brilliant super nice cool fine good got understood"
FILLER_EN = (
    "you u so very much a lot again all it for the your help quick that this is now im i'm i day have nice and oh yes"
    " yeah yep alright many that's its it's works working really kind guys everything was to me then"
)
THANKS_ZH = "谢谢|感谢|多谢|谢啦|谢了|谢您|谢|辛苦了?|再见|拜拜|解决了|没事了|没问题了"
AGREED_ZH = (
    "好的?|好嘞|好滴|好哒|妥了?|棒|给力|行|可以了?|收到|明白了?|知道了|了解|懂了"
    "|嗯+|哦+|ok|okay|好吧|就这样|就这些|搞定"
)
FILLER_ZH = "非常|太|十分|真的?|您|你们?|啦|了|啊|呀|哈+|的|吧|哦|呢|已经|问题|很|帮忙|大家|一下|都|[,.!~。 ]"
GREETING_ZH = "你好|您好|大家好|好吗"
CLOSING_EMOJI = "👍🙏👌❤♥💕💖💗💐🌸😊🙂😀😃😄😁😉😇☺🤝✅☑💯🎉🥰😍🌹🤗👏🙌🫶💪😘✌🆗"

EVERYDAY = {
    "en": "the a an and or is are was were be been i you he she it we they my your me this that to of in on for with"
    " at from not no do does did don't can can't cannot could would will how what where when why who which please has"
    " have had it's i'm if there get need want any still just but been about"
    " as so then than them our us its by out up all new now show more too only again",
    "es": "el la los las un una y o es son era yo tú usted mi tu su me que de en por para con no cómo qué dónde"
    " cuándo porque quién está estoy tengo hola quiero puedo pero mis se lo al del gracias",  # codespell:ignore
    "fr": "le la les un une des et ou est sont je tu vous il elle nous mon ma mes votre que qui de du en dans pour"
    " avec pas ne comment où quand pourquoi ce cette j'ai c'est bonjour merci mais sur au aux",
    "de": "der die das ein eine einen und oder ist sind war ich du sie er es wir mein meine ihr mir"  # codespell:ignore
    " mich dass von zu in auf für mit nicht kein keine wie was wo wann warum wer bitte habe hat kann"
    " aber noch den dem im danke",
    "pt": "o os as um uma e ou é são eu você meu minha que de do da em no na por para com não"  # codespell:ignore
    " como onde quando porque quem está estou tenho olá quero posso mas obrigado se ao",
    "it": "il lo la gli le un una e o è sono io tu lei mio mia che di del della in per con non come cosa dove quando"
    " perché chi ho ciao vorrei posso ma grazie si al",
    "nl": "de het een en of is zijn was ik je jij u hij zij we mijn dat van te in op voor met niet geen hoe wat waar"
    " wanneer waarom wie heb heeft kan maar nog bedankt er",
}
"""The words that every text of a language is full of: enough to tell Latin-script languages apart."""

TRADITIONAL = (
    "謝轉貨貸買賣費錢給個嗎這還沒問題決報險燒電傷過騙詐盜號戶帳賬師訴舉緊馬處癱瘓機壞門員務繫聯話線獎點擊鏈連結賺職動氣應該時間東壓麼幾請讓別見煩對辦訂單"
    "運遞關開優啟驗證碼訊詢價稅額幣銀賠償補發換寄實際經為從來們說認識誰讀寫語詞誤錯無與專業產廠質檢測試裝卸載網絡頁圖檔案軟體設備螢閉鍵輸錄讓歡樂愛興極"
    "慢種類樣顏紅綠藍黃長寬輕鬆鐘週歲後裡內邊遠近層樓區縣鎮鄉馬圍廣莊園廳廚衛臥陽臺窗簾燈鏡櫃傢飯麵雞魚鴨蛋湯藥醫療護險罰懲嚇壞亂複雜簡單張隻雙條幫議標準"
    "誠徵萬賴詳談賬夠雖"
)
SIMPLIFIED = (
    "谢转货贷买卖费钱给个吗这还没问题决报险烧电伤过骗诈盗号户账账师诉举紧马处瘫痪机坏门员务系联话线奖点击链连结赚职动气应该时间东压么几请让别见烦对办订单"
    "运递关开优启验证码讯询价税额币银赔偿补发换寄实际经为从来们说认识谁读写语词误错无与专业产厂质检测试装卸载网络页图档案软体设备荧闭键输录让欢乐爱兴极"
    "慢种类样颜红绿蓝黄长宽轻松钟周岁后里内边远近层楼区县镇乡马围广庄园厅厨卫卧阳台窗帘灯镜柜家饭面鸡鱼鸭蛋汤药医疗护险罚惩吓坏乱复杂简单张只双条帮议标准"
    "诚征万赖详谈账够虽"
)
"""Characters as they are written in Taiwan and Hong Kong, and in the mainland: each at its place. The examples and the
rules are written in the latter.
"""
